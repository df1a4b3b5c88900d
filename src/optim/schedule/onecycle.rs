//! One-cycle schedules, which rise and fall once.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use spiq_hlo::{DType, Tensor, Violation};

use super::super::describe::described;

/// Rises to `peak_value` and falls again, each along half a cosine. Source: `optax.cosine_onecycle_schedule`; Smith and Topin 2017,
/// arXiv:1708.07120.
#[derive(Clone, Debug, PartialEq)]
pub struct CosineOnecycle {
    /// Total number of steps.
    pub transition_steps: u32,
    /// The largest value.
    pub peak_value: f64,
    /// The fraction of steps that rise.
    pub pct_start: f64,
    /// The largest value divided by the initial value.
    pub div_factor: f64,
    /// The initial value divided by the final value.
    pub final_div_factor: f64,
}

/// A [`CosineOnecycle`] with optax's defaults.
pub fn cosine_onecycle_schedule(transition_steps: u32, peak_value: f64) -> CosineOnecycle {
    CosineOnecycle { transition_steps, peak_value, pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
}

impl CosineOnecycle {
    pub(super) fn describe(&self) -> String {
        let default = cosine_onecycle_schedule(self.transition_steps, self.peak_value);
        described!(
            self,
            CosineOnecycle = "cosine_onecycle"(transition_steps, peak_value; pct_start, div_factor, final_div_factor),
            default
        )
    }

    #[track_caller]
    pub(super) fn at(&self, count: &Tensor) -> Tensor {
        let steps = f64::from(self.transition_steps);
        let scales = [
            ((self.pct_start * steps) as u32, self.div_factor),
            (self.transition_steps, 1.0 / (self.div_factor * self.final_div_factor)),
        ];
        let cosine = |from: f64, to: f64, share: &Tensor| to + (from - to) / 2.0 * ((PI * share).cos() + 1.0);
        interpolated("cosine_onecycle_schedule", count, self.peak_value / self.div_factor, &scales, cosine)
    }
}

/// Rises to `peak_value`, falls back to the initial value, then further down, all linearly. Source: `optax.linear_onecycle_schedule`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearOnecycle {
    /// Total number of steps.
    pub transition_steps: u32,
    /// The largest value.
    pub peak_value: f64,
    /// The fraction of steps that rise.
    pub pct_start: f64,
    /// The fraction of steps until the initial value is reached again.
    pub pct_final: f64,
    /// The largest value divided by the initial value.
    pub div_factor: f64,
    /// The initial value divided by the final value.
    pub final_div_factor: f64,
}

/// A [`LinearOnecycle`] with optax's defaults.
pub fn linear_onecycle_schedule(transition_steps: u32, peak_value: f64) -> LinearOnecycle {
    let (pct_start, pct_final, div_factor, final_div_factor) = (0.3, 0.85, 25.0, 1e4);
    LinearOnecycle { transition_steps, peak_value, pct_start, pct_final, div_factor, final_div_factor }
}

impl LinearOnecycle {
    pub(super) fn describe(&self) -> String {
        let default = linear_onecycle_schedule(self.transition_steps, self.peak_value);
        described!(
            self,
            LinearOnecycle =
                "linear_onecycle"(transition_steps, peak_value; pct_start, pct_final, div_factor, final_div_factor),
            default
        )
    }

    #[track_caller]
    pub(super) fn at(&self, count: &Tensor) -> Tensor {
        let steps = f64::from(self.transition_steps);
        let scales = [
            ((self.pct_start * steps) as u32, self.div_factor),
            ((self.pct_final * steps) as u32, 1.0 / self.div_factor),
            (self.transition_steps, 1.0 / self.final_div_factor),
        ];
        let line = |from: f64, to: f64, share: &Tensor| (to - from) * share + from;
        interpolated("linear_onecycle_schedule", count, self.peak_value / self.div_factor, &scales, line)
    }
}

/// Interpolates between values at boundaries, each of which is the previous one times a scale; constant after the last boundary. Of two
/// scales at one boundary the later one applies. Source: `optax.piecewise_interpolate_schedule`.
#[track_caller]
fn interpolated(
    op: &str,
    count: &Tensor,
    start: f64,
    scales: &[(u32, f64)],
    between: impl Fn(f64, f64, &Tensor) -> Tensor,
) -> Tensor {
    let scales: BTreeMap<u32, f64> = scales.iter().copied().collect();
    if scales.keys().next_back() == Some(&0) {
        return count.graph().fail(op, Violation::new("", "needs at least one step (transition_steps)"));
    }
    let (mut pieces, mut from, mut value) = (Vec::new(), 0, start);
    for (to, scale) in scales {
        let next = value * scale;
        let passed = (count - f64::from(from)).convert(DType::F32) / f64::from(to - from).max(1.0);
        pieces.push((to, between(value, next, &passed)));
        (from, value) = (to, next);
    }
    let end = count.graph().scalar(DType::F32, value);
    pieces.into_iter().rev().fold(end, |later, (to, piece)| count.lt(f64::from(to)).select(&piece, &later))
}
