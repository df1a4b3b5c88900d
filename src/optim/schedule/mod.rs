//! Numbers that depend on the step count, such as a learning rate.

mod decay;
mod onecycle;
mod table;

use std::f64::consts::PI;
use std::fmt;

use spiq_hlo::{DType, Tensor, Violation};

use super::describe::described;

pub use decay::{ExponentialDecay, PiecewiseConstant, exponential_decay, piecewise_constant_schedule};
pub use onecycle::{CosineOnecycle, LinearOnecycle, cosine_onecycle_schedule, linear_onecycle_schedule};
pub use table::{Course, MakeSchedule, Planned, SCHEDULES, Steps};

/// A number as a function of the step count; a plain number is constant.
///
/// ```
/// use spiq::optim::{Schedule, WarmupCosineDecay, warmup_cosine_decay_schedule};
/// let constant: Schedule = 1e-3.into();
/// let cosine: Schedule = WarmupCosineDecay { end_value: 1e-5, ..warmup_cosine_decay_schedule(0.0, 1e-3, 100, 2000) }.into();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// The same at every step. Source: `optax.constant_schedule`.
    Constant(f64),
    /// See [`CosineDecay`].
    CosineDecay(CosineDecay),
    /// See [`WarmupConstant`].
    WarmupConstant(WarmupConstant),
    /// See [`WarmupCosineDecay`].
    WarmupCosineDecay(WarmupCosineDecay),
    /// See [`ExponentialDecay`].
    ExponentialDecay(ExponentialDecay),
    /// See [`PiecewiseConstant`].
    PiecewiseConstant(PiecewiseConstant),
    /// See [`CosineOnecycle`].
    CosineOnecycle(CosineOnecycle),
    /// See [`LinearOnecycle`].
    LinearOnecycle(LinearOnecycle),
}

impl Schedule {
    /// The value after `count` steps (s32 scalar): an f32 scalar.
    ///
    /// # Errors
    /// Kept in the trace: a cosine decay over no steps.
    #[track_caller]
    pub fn at(&self, count: &Tensor) -> Tensor {
        match self {
            _ if count.is_poison() => count.clone(),
            Schedule::Constant(value) => count.graph().scalar(DType::F32, *value),
            Schedule::CosineDecay(schedule) => schedule.at(count),
            Schedule::WarmupConstant(schedule) => schedule.at(count),
            Schedule::WarmupCosineDecay(schedule) => schedule.at(count),
            Schedule::ExponentialDecay(schedule) => schedule.at(count),
            Schedule::PiecewiseConstant(schedule) => schedule.at(count),
            Schedule::CosineOnecycle(schedule) => schedule.at(count),
            Schedule::LinearOnecycle(schedule) => schedule.at(count),
        }
    }
}

/// Formats as `0.002` or `cosine(0.002, 440)`, with everything that determines the values.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Constant(value) => value.fmt(f),
            Schedule::CosineDecay(schedule) => f.write_str(&schedule.describe()),
            Schedule::WarmupConstant(schedule) => f.write_str(&schedule.describe()),
            Schedule::WarmupCosineDecay(schedule) => f.write_str(&schedule.describe()),
            Schedule::ExponentialDecay(schedule) => f.write_str(&schedule.describe()),
            Schedule::PiecewiseConstant(schedule) => f.write_str(&schedule.describe()),
            Schedule::CosineOnecycle(schedule) => f.write_str(&schedule.describe()),
            Schedule::LinearOnecycle(schedule) => f.write_str(&schedule.describe()),
        }
    }
}

impl From<f64> for Schedule {
    fn from(value: f64) -> Schedule {
        Schedule::Constant(value)
    }
}

macro_rules! into_schedule {
    ($($name:ident),*) => {$(
        impl From<$name> for Schedule {
            fn from(schedule: $name) -> Schedule {
                Schedule::$name(schedule)
            }
        }
    )*};
}

into_schedule!(
    CosineDecay,
    WarmupConstant,
    WarmupCosineDecay,
    ExponentialDecay,
    PiecewiseConstant,
    CosineOnecycle,
    LinearOnecycle
);

/// Decays from `init_value` to `alpha` times it along half a cosine. Source: Loshchilov and Hutter 2016, arXiv:1608.03983;
/// `optax.cosine_decay_schedule`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineDecay {
    /// The value at the start.
    pub init_value: f64,
    /// Number of steps until the end is reached.
    pub decay_steps: u32,
    /// The end value as a fraction of the initial value.
    pub alpha: f64,
    /// Power to which the half cosine is raised.
    pub exponent: f64,
}

/// A [`CosineDecay`] to zero.
pub fn cosine_decay_schedule(init_value: f64, decay_steps: u32) -> CosineDecay {
    CosineDecay { init_value, decay_steps, alpha: 0.0, exponent: 1.0 }
}

impl CosineDecay {
    fn describe(&self) -> String {
        let default = cosine_decay_schedule(self.init_value, self.decay_steps);
        described!(self, CosineDecay = "cosine"(init_value, decay_steps; alpha, exponent), default)
    }

    #[track_caller]
    fn at(&self, count: &Tensor) -> Tensor {
        if self.decay_steps == 0 {
            let message = "needs at least one step to decay over (decay_steps, without the warmup)";
            return count.graph().fail("cosine_decay_schedule", Violation::new("", message));
        }
        let steps = f64::from(self.decay_steps);
        let count = count.convert(DType::F32).minimum(steps);
        let wave = 0.5 * (1.0 + (PI * count / steps).cos());
        let powered = if self.exponent == 1.0 { wave } else { wave.pow(self.exponent) };
        self.init_value * ((1.0 - self.alpha) * powered + self.alpha)
    }
}

/// Rises linearly from `init_value` to `peak_value`, then stays constant. Source: `optax.warmup_constant_schedule`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupConstant {
    /// The value at the start.
    pub init_value: f64,
    /// The value from the end of the warmup.
    pub peak_value: f64,
    /// Number of warmup steps. 0 keeps `init_value`, as in optax.
    pub warmup_steps: u32,
}

/// A [`WarmupConstant`].
pub fn warmup_constant_schedule(init_value: f64, peak_value: f64, warmup_steps: u32) -> WarmupConstant {
    WarmupConstant { init_value, peak_value, warmup_steps }
}

impl WarmupConstant {
    fn describe(&self) -> String {
        let WarmupConstant { init_value, peak_value, warmup_steps } = self;
        format!("warmup_constant({init_value}, {peak_value}, {warmup_steps})")
    }

    #[track_caller]
    fn at(&self, count: &Tensor) -> Tensor {
        if self.warmup_steps == 0 {
            return count.graph().scalar(DType::F32, self.init_value);
        }
        let steps = f64::from(self.warmup_steps);
        let left = 1.0 - count.maximum(0.0).minimum(steps).convert(DType::F32) / steps;
        (self.init_value - self.peak_value) * left + self.peak_value
    }
}

/// Rises linearly from `init_value` to `peak_value`, then decays to `end_value` along half a cosine. Source:
/// `optax.warmup_cosine_decay_schedule`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupCosineDecay {
    /// The value at the start.
    pub init_value: f64,
    /// The value at the end of the warmup.
    pub peak_value: f64,
    /// Number of warmup steps.
    pub warmup_steps: u32,
    /// Number of steps until the end is reached, warmup included.
    pub decay_steps: u32,
    /// The value from then on.
    pub end_value: f64,
    /// Power to which the half cosine is raised.
    pub exponent: f64,
}

/// A [`WarmupCosineDecay`] to zero.
pub fn warmup_cosine_decay_schedule(
    init_value: f64,
    peak_value: f64,
    warmup_steps: u32,
    decay_steps: u32,
) -> WarmupCosineDecay {
    WarmupCosineDecay { init_value, peak_value, warmup_steps, decay_steps, end_value: 0.0, exponent: 1.0 }
}

impl WarmupCosineDecay {
    fn describe(&self) -> String {
        let [init, peak] = [self.init_value, self.peak_value];
        let default = warmup_cosine_decay_schedule(init, peak, self.warmup_steps, self.decay_steps);
        described!(
            self,
            WarmupCosineDecay = "warmup_cosine"(init_value, peak_value, warmup_steps, decay_steps; end_value, exponent),
            default
        )
    }

    #[track_caller]
    fn at(&self, count: &Tensor) -> Tensor {
        let warmup = warmup_constant_schedule(self.init_value, self.peak_value, self.warmup_steps);
        let decay = CosineDecay {
            init_value: self.peak_value,
            decay_steps: self.decay_steps.saturating_sub(self.warmup_steps),
            alpha: if self.peak_value == 0.0 { 0.0 } else { self.end_value / self.peak_value },
            exponent: self.exponent,
        };
        let first = f64::from(self.warmup_steps);
        count.lt(first).select(&warmup.at(count), &decay.at(&(count - first)))
    }
}
