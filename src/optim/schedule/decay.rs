//! Schedules that decay by factors: exponentially, or piecewise constant.

use spiq_hlo::{DType, Tensor, Violation};

use super::super::describe::described;

/// Multiplies `init_value` by `decay_rate` every `transition_steps`. Source: `optax.exponential_decay`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialDecay {
    /// The value at the start.
    pub init_value: f64,
    /// Number of steps per factor of `decay_rate`.
    pub transition_steps: u32,
    /// The factor, above 0.
    pub decay_rate: f64,
    /// Number of steps before the decay begins.
    pub transition_begin: u32,
    /// Whether it changes only every `transition_steps`, instead of continuously.
    pub staircase: bool,
    /// The bound of the value.
    pub end_value: Option<f64>,
}

/// An [`ExponentialDecay`] without staircase or end value.
pub fn exponential_decay(init_value: f64, transition_steps: u32, decay_rate: f64) -> ExponentialDecay {
    let (transition_begin, staircase, end_value) = (0, false, None);
    ExponentialDecay { init_value, transition_steps, decay_rate, transition_begin, staircase, end_value }
}

impl ExponentialDecay {
    pub(super) fn describe(&self) -> String {
        let default = exponential_decay(self.init_value, self.transition_steps, self.decay_rate);
        described!(
            self,
            ExponentialDecay = "exponential"(init_value, transition_steps, decay_rate; transition_begin, staircase, end_value),
            default
        )
    }

    #[track_caller]
    pub(super) fn at(&self, count: &Tensor) -> Tensor {
        if self.transition_steps == 0 || self.decay_rate <= 0.0 {
            let message = "needs at least one transition step and a decay rate above 0";
            return count.graph().fail("exponential_decay", Violation::new("", message));
        }
        let begun = count - f64::from(self.transition_begin);
        let passed = begun.convert(DType::F32) / f64::from(self.transition_steps);
        let passed = if self.staircase { passed.floor() } else { passed };
        let decayed = self.init_value * passed.full_like(self.decay_rate).pow(&passed);
        let value = begun.le(0.0).select(&decayed.full_like(self.init_value), &decayed);
        match self.end_value {
            None => value,
            Some(end) if self.decay_rate < 1.0 => value.maximum(end),
            Some(end) => value.minimum(end),
        }
    }
}

/// `init_value` times the scales of all boundaries reached. Source: `optax.piecewise_constant_schedule`.
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseConstant {
    /// The value at the start.
    pub init_value: f64,
    /// Step counts, each with the factor that applies from there on.
    pub boundaries_and_scales: Vec<(u32, f64)>,
}

/// A [`PiecewiseConstant`].
pub fn piecewise_constant_schedule(
    init_value: f64,
    boundaries_and_scales: impl IntoIterator<Item = (u32, f64)>,
) -> PiecewiseConstant {
    let mut boundaries_and_scales: Vec<(u32, f64)> = boundaries_and_scales.into_iter().collect();
    boundaries_and_scales.sort_by_key(|(boundary, _)| *boundary);
    PiecewiseConstant { init_value, boundaries_and_scales }
}

impl PiecewiseConstant {
    pub(super) fn describe(&self) -> String {
        let PiecewiseConstant { init_value, boundaries_and_scales } = self;
        let scales: Vec<String> = boundaries_and_scales.iter().map(|(at, scale)| format!("{at}: {scale}")).collect();
        format!("piecewise({init_value}, {{{}}})", scales.join(", "))
    }

    #[track_caller]
    pub(super) fn at(&self, count: &Tensor) -> Tensor {
        let start = count.graph().scalar(DType::F32, self.init_value);
        self.boundaries_and_scales
            .iter()
            .fold(start, |value, (boundary, scale)| count.lt(f64::from(*boundary)).select(&value, &(&value * *scale)))
    }
}
