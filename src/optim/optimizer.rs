//! The optimizer of a run whose length is not yet known: chosen by name or user-defined, plus its wrappers.

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

/// An optimizer by name, as given on the command line and stored in files.
#[derive(Clone, Debug, PartialEq)]
pub struct ByName {
    /// A name in [`OPTIMIZERS`], with the arguments that differ from its defaults.
    pub optimizer: String,
    /// The initial learning rate.
    pub learning_rate: f64,
    /// The schedule of the learning rate: a name in [`SCHEDULES`], with the arguments that differ from its defaults.
    pub schedule: String,
    /// Different settings for some parameters; `none` for no groups.
    pub groups: String,
}

/// The wrappers of an optimizer, as given on the command line and stored in files.
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// The clipping method; `none` for no clipping.
    pub clip: String,
    /// Batches per step.
    pub accumulate: usize,
    /// The fraction of the parameter average that a step keeps; 0 for no average.
    pub ema: f64,
}

/// The gradient transformation of a training run; its schedules may depend on the number of steps.
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
/// // Any of them with gradient clipping, accumulation over 2 batches, and a parameter average.
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

/// The text for none.
const NONE: &str = "none";

impl Optimizer {
    fn of(kind: Kind) -> Optimizer {
        Optimizer { kind, clip: None, accumulate: 1, average: None }
    }

    /// The optimizer with this name in [`OPTIMIZERS`] and its arguments, with optax's defaults. The learning rate starts at `learning_rate`
    /// and follows the schedule with this name in [`SCHEDULES`] and its arguments.
    ///
    /// # Errors
    /// Of kind `Input`: an unknown name or argument, a learning rate that is negative or not finite.
    ///
    /// ```
    /// let error = spiq::optim::Optimizer::named("adem", 2e-3, "constant").unwrap_err().to_string();
    /// assert_eq!(error, "there is no optimizer `adem`; did you mean `adam`? available: lion, adam, adamw, sgd");
    /// ```
    pub fn named(optimizer: &str, learning_rate: f64, schedule: &str) -> Result<Optimizer> {
        let (row, mut arguments) = chosen_one("optimizer", OPTIMIZERS, optimizer)?;
        let make = (row.make)(&mut arguments)?;
        let optimizer = (arguments.finish()?, make);
        let schedule = scheduled(schedule)?;
        check_rate(learning_rate)?;
        Ok(Optimizer::of(Kind::Named { optimizer, learning_rate, schedule, groups: Groups::default() }))
    }

    /// A user-defined transformation, made for the number of steps of the run.
    pub fn of_steps<G: GradientTransformation + 'static>(make: impl Fn(u32) -> G + Send + Sync + 'static) -> Optimizer {
        Optimizer::of(Kind::Own(Arc::new(move |steps| Arc::new(make(steps)))))
    }

    /// The same optimizer with different settings for some parameters: `group(path = "beta", learning_rate = 0.01, weight_decay = 0)`,
    /// several groups separated by commas. A group takes `path`, a [`PathPattern`](super::PathPattern) of parameters; the initial
    /// `learning_rate`, where 0 freezes them; `schedule`; and the arguments of the optimizer. The first matching group applies.
    ///
    /// # Errors
    /// Of kind `Input`: text that is not such a call; groups for a user-defined optimizer.
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

    /// The same optimizer with gradient clipping: a number as a maximum global norm, a name in [`CLIPS`] with its argument, or `none`.
    ///
    /// # Errors
    /// Of kind `Input`: any other text.
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

    /// The same optimizer with one step per `batches` batches: [`multi_steps`].
    ///
    /// # Errors
    /// Of kind `Input` for 0.
    pub fn accumulating(self, batches: usize) -> Result<Optimizer> {
        match u32::try_from(batches) {
            Ok(accumulate) if accumulate > 0 => Ok(Optimizer { accumulate, ..self }),
            _ => Err(Error::input(format!("a step takes {batches} batches, but must take at least 1"))),
        }
    }

    /// The same optimizer with a moving average of the parameters: [`average_params`]. 0 for none.
    ///
    /// # Errors
    /// Of kind `Input` for a decay outside the range from 0 to below 1.
    pub fn averaging(self, decay: f64) -> Result<Optimizer> {
        match decay >= 0.0 && (decay as f32) < 1.0 {
            true => Ok(Optimizer { average: (decay > 0.0).then_some(decay), ..self }),
            false => Err(Error::input(format!(
                "the decay of the parameter average is {decay}, but must be from 0 to below 1"
            ))),
        }
    }

    /// The transformation for a run of `steps` batches, all in one epoch.
    pub fn for_steps(&self, steps: usize) -> Arc<dyn GradientTransformation> {
        self.for_run(steps, steps)
    }

    /// The transformation for a run of `batches` batches, with `of_epoch` batches per epoch.
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

    /// The names by which it was chosen; `None` if it is user-defined.
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

    /// The text of a user-defined transformation for a run of `batches` batches, without its wrappers.
    pub(crate) fn own_text(&self, batches: usize) -> Option<String> {
        match &self.kind {
            Kind::Own(make) => Some(make(self.steps(batches)).describe()),
            Kind::Named { .. } => None,
        }
    }

    /// Optimizer steps in this many batches.
    fn steps(&self, batches: usize) -> u32 {
        u32::try_from(batches / self.accumulate as usize).unwrap_or(u32::MAX).max(1)
    }

    /// Its wrappers.
    pub fn around(&self) -> Around {
        Around {
            clip: self.clip.as_ref().map_or_else(|| NONE.to_owned(), |(text, _)| text.clone()),
            accumulate: self.accumulate as usize,
            ema: self.average.unwrap_or(0.0),
        }
    }

    /// Refuses groups that match no parameter.
    ///
    /// # Errors
    /// Of kind `Input`, listing the known paths.
    pub fn check_groups<'a>(&self, paths: impl Iterator<Item = &'a String>) -> Result<()> {
        match &self.kind {
            Kind::Named { groups, .. } => groups.check(&paths.collect::<Vec<_>>()),
            Kind::Own(_) => Ok(()),
        }
    }
}

/// The schedule for the text of a call, and the canonical text.
pub(super) fn scheduled(text: &str) -> Result<(String, Planned)> {
    let (row, mut arguments) = chosen_one("schedule", SCHEDULES, text)?;
    let plan = (row.make)(&mut arguments)?;
    Ok((arguments.finish()?, plan))
}

/// Checks that a learning rate is usable.
pub(super) fn check_rate(learning_rate: f64) -> Result<()> {
    let wrong = match learning_rate {
        rate if !rate.is_finite() || rate < 0.0 => "0 or more",
        rate if !in_f32(rate) => "a number in f32's range: 0, or a magnitude from 1.2e-38 to 3.4e38",
        _ => return Ok(()),
    };
    Err(Error::input(format!("the learning rate is {}, but must be {wrong}", short(learning_rate))))
}

/// A number in a few digits.
fn short(number: f64) -> String {
    match number.to_string() {
        plain if plain.len() > 20 => format!("{number:e}"),
        plain => plain,
    }
}

impl<G: GradientTransformation + 'static> From<G> for Optimizer {
    /// Uses the same transformation for runs of any length.
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
