//! The optimizer of a run whose length is not known yet: chosen by name, or a transformation of one's own.

use std::fmt;
use std::sync::Arc;

use super::schedule::{MakeSchedule, SCHEDULES};
use super::transformation::GradientTransformation;
use super::{MakeOptimizer, OPTIMIZERS};
use crate::choice::{Choice, find};
use crate::error::{Error, Result};

/// An optimizer by name, as a command line gives it and files keep it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ByName {
    /// A name of [`OPTIMIZERS`].
    pub optimizer: &'static str,
    /// The learning rate at the start.
    pub learning_rate: f64,
    /// How it goes on: a name of [`SCHEDULES`].
    pub schedule: &'static str,
}

/// The gradient transformation of a training run, which schedules may make depend on the number of its steps.
///
/// ```
/// use spiq::optim::{Optimizer, adam, chain, clip_by_global_norm, cosine_decay_schedule};
/// let fixed = Optimizer::from(adam(2e-3));
/// let named = Optimizer::named("adam", 2e-3, "cosine")?;
/// let own = Optimizer::of_steps(|steps| {
///     chain([clip_by_global_norm(1.0).into(), adam(cosine_decay_schedule(2e-3, steps)).into()])
/// });
/// assert_eq!(fixed.for_steps(440).describe(), "adam(0.002)");
/// assert_eq!(named.for_steps(440).describe(), "adam(cosine(0.002, 440))");
/// assert_eq!(own.for_steps(440).describe(), "chain(clip_by_global_norm(1), adam(cosine(0.002, 440)))");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone)]
pub struct Optimizer(Kind);

#[derive(Clone)]
enum Kind {
    Named { optimizer: &'static Choice<MakeOptimizer>, learning_rate: f64, schedule: &'static Choice<MakeSchedule> },
    Own(Arc<dyn Fn(u32) -> Arc<dyn GradientTransformation> + Send + Sync>),
}

impl Optimizer {
    /// The optimizer of this name of [`OPTIMIZERS`], with optax's defaults but for the learning rate, which starts here and
    /// follows the schedule of this name of [`SCHEDULES`].
    ///
    /// # Errors
    /// Of kind `Input`: a name that is not in its table, a learning rate that is negative or not finite.
    ///
    /// ```
    /// let error = spiq::optim::Optimizer::named("adem", 2e-3, "constant").unwrap_err().to_string();
    /// assert_eq!(error, "there is no optimizer `adem`; did you mean `adam`? known are lion, adam, adamw, sgd");
    /// ```
    pub fn named(optimizer: &str, learning_rate: f64, schedule: &str) -> Result<Optimizer> {
        let (optimizer, schedule) = (find("optimizer", OPTIMIZERS, optimizer)?, find("schedule", SCHEDULES, schedule)?);
        if !learning_rate.is_finite() || learning_rate < 0.0 {
            return Err(Error::input(format!("the learning rate is {learning_rate}, but must be 0 or more")));
        }
        Ok(Optimizer(Kind::Named { optimizer, learning_rate, schedule }))
    }

    /// A transformation of one's own, made for the number of steps of the run.
    pub fn of_steps<G: GradientTransformation + 'static>(make: impl Fn(u32) -> G + Send + Sync + 'static) -> Optimizer {
        Optimizer(Kind::Own(Arc::new(move |steps| Arc::new(make(steps)))))
    }

    /// The transformation for a run of so many steps.
    pub fn for_steps(&self, steps: usize) -> Arc<dyn GradientTransformation> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match &self.0 {
            Kind::Own(make) => make(steps),
            Kind::Named { optimizer, learning_rate, schedule } => {
                (optimizer.make)((schedule.make)(*learning_rate, steps)).into()
            }
        }
    }

    /// The names that it was chosen by; `None` for one of one's own.
    pub fn names(&self) -> Option<ByName> {
        match self.0 {
            Kind::Own(_) => None,
            Kind::Named { optimizer, learning_rate, schedule } => {
                Some(ByName { optimizer: optimizer.name, learning_rate, schedule: schedule.name })
            }
        }
    }
}

impl<G: GradientTransformation + 'static> From<G> for Optimizer {
    /// The same for runs of every length.
    fn from(transformation: G) -> Optimizer {
        let shared: Arc<dyn GradientTransformation> = Arc::new(transformation);
        Optimizer(Kind::Own(Arc::new(move |_| shared.clone())))
    }
}

impl fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names() {
            Some(names) => names.fmt(f),
            None => f.write_str("Own"),
        }
    }
}
