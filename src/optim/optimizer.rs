//! The optimizer of a run whose length is not known yet: chosen by name, or a transformation of one's own; and what is done around
//! it.

use std::fmt;
use std::sync::Arc;

use super::groups::Groups;
use super::schedule::{Course, Planned, SCHEDULES, Steps};
use super::table::{OPTIMIZERS, OfRate};
use super::transformation::GradientTransformation;
use super::{CLIPS, ClipOf, average_params, chain, multi_steps, multi_transform};
use crate::choice::chosen_one;
use crate::error::{Error, Result};
use crate::fields::in_f32;

/// An optimizer by name, as a command line gives it and files keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct ByName {
    /// A name of [`OPTIMIZERS`] with the arguments that are not its defaults.
    pub optimizer: String,
    /// The learning rate at the start.
    pub learning_rate: f64,
    /// How it goes on: a name of [`SCHEDULES`] with the arguments that are not its defaults.
    pub schedule: String,
    /// What is other for some parameters; `none` where nothing is.
    pub groups: String,
}

/// What is done around an optimizer, as a command line gives it and files keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// How gradients are cut; `none` where they are not.
    pub clip: String,
    /// Batches of a step.
    pub accumulate: usize,
    /// The share of the parameters' average that a step keeps; 0 where there is no average.
    pub ema: f64,
}

/// The gradient transformation of a training run, which schedules may make depend on the number of its steps.
///
/// ```
/// use spiq::optim::{Optimizer, adam, chain, clip_by_global_norm, cosine_decay_schedule};
/// let fixed = Optimizer::from(adam(2e-3));
/// let named = Optimizer::named("adam(b2 = 0.99)", 2e-3, "cosine")?;
/// let own = Optimizer::of_steps(|steps| {
///     chain([clip_by_global_norm(1.0).into(), adam(cosine_decay_schedule(2e-3, steps)).into()])
/// });
/// assert_eq!(fixed.for_steps(440).describe(), "adam(0.002)");
/// assert_eq!(named.for_steps(440).describe(), "adam(cosine(0.002, 440), b2=0.99)");
/// assert_eq!(own.for_steps(440).describe(), "chain(clip_by_global_norm(1), adam(cosine(0.002, 440)))");
/// // Each as well with cut gradients, one step for 2 batches, an average of the parameters.
/// let around = named.with_clip("1.0")?.accumulating(2)?.averaging(0.99)?;
/// let text = "multi_steps(average_params(chain(clip_by_global_norm(1), adam(cosine(0.002, 220), b2=0.99)), 0.99), 2)";
/// assert_eq!(around.for_steps(440).describe(), text);
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone)]
pub struct Optimizer {
    kind: Kind,
    clip: Option<(String, ClipOf)>,
    accumulate: u32,
    average: Option<f64>,
}

#[derive(Clone)]
enum Kind {
    Named { optimizer: (String, OfRate), learning_rate: f64, schedule: (String, Planned), groups: Groups },
    Own(Arc<dyn Fn(u32) -> Arc<dyn GradientTransformation> + Send + Sync>),
}

/// The text of nothing.
const NONE: &str = "none";

impl Optimizer {
    fn of(kind: Kind) -> Optimizer {
        Optimizer { kind, clip: None, accumulate: 1, average: None }
    }

    /// The optimizer of this name of [`OPTIMIZERS`], with its arguments, and optax's defaults but for the learning rate, which
    /// starts here and follows the schedule of this name of [`SCHEDULES`], with its arguments.
    ///
    /// # Errors
    /// Of kind `Input`: a name or an argument that is not there, a learning rate that is negative or not finite.
    ///
    /// ```
    /// let error = spiq::optim::Optimizer::named("adem", 2e-3, "constant").unwrap_err().to_string();
    /// assert_eq!(error, "there is no optimizer `adem`; did you mean `adam`? known are lion, adam, adamw, sgd");
    /// ```
    pub fn named(optimizer: &str, learning_rate: f64, schedule: &str) -> Result<Optimizer> {
        let (row, mut arguments) = chosen_one("optimizer", OPTIMIZERS, optimizer)?;
        let make = (row.make)(&mut arguments)?;
        let optimizer = (arguments.finish()?, make);
        let schedule = scheduled(schedule)?;
        check_rate(learning_rate)?;
        Ok(Optimizer::of(Kind::Named { optimizer, learning_rate, schedule, groups: Groups::default() }))
    }

    /// A transformation of one's own, made for the number of steps of the run.
    pub fn of_steps<G: GradientTransformation + 'static>(make: impl Fn(u32) -> G + Send + Sync + 'static) -> Optimizer {
        Optimizer::of(Kind::Own(Arc::new(move |steps| Arc::new(make(steps)))))
    }

    /// The same optimizer with something else for some parameters: `group(path = "beta", learning_rate = 0.01, weight_decay = 0)`,
    /// several of them divided by commas. Each takes `path`, a [`PathPattern`](super::PathPattern) of parameters, `learning_rate`
    /// at the start, of which 0 keeps them as they are, `schedule`, and the arguments of the optimizer. The first that matches counts.
    ///
    /// # Errors
    /// Of kind `Input`: text that is no such call; groups for an optimizer of one's own.
    pub fn with_groups(self, groups: &str) -> Result<Optimizer> {
        match self.kind {
            Kind::Named { optimizer, learning_rate, schedule, .. } => {
                let groups = if groups == NONE { Groups::default() } else { Groups::parse(groups, &optimizer.0)? };
                Ok(Optimizer { kind: Kind::Named { optimizer, learning_rate, schedule, groups }, ..self })
            }
            Kind::Own(_) => {
                Err(Error::input("groups of parameters are for an optimizer by name; use optim::multi_transform"))
            }
        }
    }

    /// The same optimizer on gradients that are cut first: a number for a largest global norm, a name of [`CLIPS`] with its
    /// argument, or `none`.
    ///
    /// # Errors
    /// Of kind `Input`: text that is none of these.
    pub fn with_clip(self, clip: &str) -> Result<Optimizer> {
        if clip == NONE {
            return Ok(Optimizer { clip: None, ..self });
        }
        let number = clip.trim().parse::<f64>();
        let text = number.map_or_else(|_| clip.to_owned(), |norm| format!("clip_by_global_norm(max_norm = {norm:?})"));
        let (row, mut arguments) = chosen_one("clip", CLIPS, &text)?;
        let clip = (row.make)(&mut arguments)?;
        Ok(Optimizer { clip: Some((arguments.finish()?, clip)), ..self })
    }

    /// The same optimizer with one step for so many batches: [`multi_steps`].
    ///
    /// # Errors
    /// Of kind `Input` for 0.
    pub fn accumulating(self, batches: usize) -> Result<Optimizer> {
        match u32::try_from(batches) {
            Ok(accumulate) if accumulate > 0 => Ok(Optimizer { accumulate, ..self }),
            _ => Err(Error::input(format!("a step is of {batches} batches, but must be of at least 1"))),
        }
    }

    /// The same optimizer with a moving average of the parameters: [`average_params`]. 0 for none.
    ///
    /// # Errors
    /// Of kind `Input` for a share that is not below 1.
    pub fn averaging(self, decay: f64) -> Result<Optimizer> {
        match decay >= 0.0 && (decay as f32) < 1.0 {
            true => Ok(Optimizer { average: (decay > 0.0).then_some(decay), ..self }),
            false => Err(Error::input(format!(
                "the share of the average that a step keeps is {decay}, but must be from 0 to below 1"
            ))),
        }
    }

    /// The transformation for a run of so many batches, all of one epoch.
    pub fn for_steps(&self, steps: usize) -> Arc<dyn GradientTransformation> {
        self.for_run(steps, steps)
    }

    /// The transformation for a run of so many batches, of which an epoch has so many.
    pub fn for_run(&self, batches: usize, of_epoch: usize) -> Arc<dyn GradientTransformation> {
        let steps = Steps { total: self.steps(batches), of_epoch: self.steps(of_epoch) };
        let (base, plateau) = match &self.kind {
            Kind::Own(make) => (make(steps.total).into(), None),
            Kind::Named { optimizer: (_, make), learning_rate, schedule: (_, plan), groups } => {
                let Course { schedule, plateau } = plan(*learning_rate, steps);
                let rest = make(schedule);
                let groups = groups.parts((*learning_rate, plan), steps);
                (if groups.is_empty() { rest } else { multi_transform(groups, rest).into() }, plateau)
            }
        };
        let clip = self.clip.iter().map(|(_, clip)| (*clip).into());
        let mut parts: Vec<Box<dyn GradientTransformation>> = clip.chain([base]).collect();
        parts.extend(plateau.map(Box::from));
        let whole = if parts.len() == 1 { parts.remove(0) } else { chain(parts).into() };
        let whole = match self.average {
            Some(decay) => average_params(whole, decay).into(),
            None => whole,
        };
        if self.accumulate > 1 { multi_steps(whole, self.accumulate).into() } else { whole }.into()
    }

    /// The names that it was chosen by; `None` for one of one's own.
    pub fn names(&self) -> Option<ByName> {
        match &self.kind {
            Kind::Own(_) => None,
            Kind::Named { optimizer, learning_rate, schedule, groups } => Some(ByName {
                optimizer: optimizer.0.clone(),
                learning_rate: *learning_rate,
                schedule: schedule.0.clone(),
                groups: groups.text().unwrap_or_else(|| NONE.to_owned()),
            }),
        }
    }

    /// The text of one's own transformation for a run of so many batches, without what is done around it.
    pub(crate) fn own_text(&self, batches: usize) -> Option<String> {
        match &self.kind {
            Kind::Own(make) => Some(make(self.steps(batches)).describe()),
            Kind::Named { .. } => None,
        }
    }

    /// Steps of so many batches.
    fn steps(&self, batches: usize) -> u32 {
        u32::try_from(batches / self.accumulate as usize).unwrap_or(u32::MAX).max(1)
    }

    /// What is done around it.
    pub fn around(&self) -> Around {
        Around {
            clip: self.clip.as_ref().map_or_else(|| NONE.to_owned(), |(text, _)| text.clone()),
            accumulate: self.accumulate as usize,
            ema: self.average.unwrap_or(0.0),
        }
    }

    /// Refuses groups that no parameter belongs to.
    ///
    /// # Errors
    /// Of kind `Input`, with the paths that there are.
    pub fn check_groups<'a>(&self, paths: impl Iterator<Item = &'a String>) -> Result<()> {
        match &self.kind {
            Kind::Named { groups, .. } => groups.check(&paths.collect::<Vec<_>>()),
            Kind::Own(_) => Ok(()),
        }
    }
}

/// The schedule of a text, a call, and that text in full.
pub(super) fn scheduled(text: &str) -> Result<(String, Planned)> {
    let (row, mut arguments) = chosen_one("schedule", SCHEDULES, text)?;
    let plan = (row.make)(&mut arguments)?;
    Ok((arguments.finish()?, plan))
}

/// That a learning rate is usable.
pub(super) fn check_rate(learning_rate: f64) -> Result<()> {
    let wrong = match learning_rate {
        rate if !rate.is_finite() || rate < 0.0 => "0 or more",
        rate if !in_f32(rate) => "a number that f32 holds: 0, or one from 1.2e-38 to 3.4e38",
        _ => return Ok(()),
    };
    Err(Error::input(format!("the learning rate is {}, but must be {wrong}", short(learning_rate))))
}

/// A number in few digits.
fn short(number: f64) -> String {
    match number.to_string() {
        plain if plain.len() > 20 => format!("{number:e}"),
        plain => plain,
    }
}

impl<G: GradientTransformation + 'static> From<G> for Optimizer {
    /// The same for runs of every length.
    fn from(transformation: G) -> Optimizer {
        let shared: Arc<dyn GradientTransformation> = Arc::new(transformation);
        Optimizer::of(Kind::Own(Arc::new(move |_| shared.clone())))
    }
}

impl fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names() {
            Some(names) => names.fmt(f)?,
            None => f.write_str("Own")?,
        }
        write!(f, " {:?}", self.around())
    }
}
