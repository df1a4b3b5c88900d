//! Squared-error losses: distances of outputs from a target for each class.

use spiq_hlo::Tensor;

use super::{SampleLoss, smooth_labels};

/// Squared distance of the outputs' mean over time from a target rate for the correct class, averaged over batch and classes.
/// Source: `spyx.fn.mse_spikerate`.
///
/// As in Spyx, the target is `sparsity` times the number of steps, whereas the rate of the outputs is a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MseSpikerate {
    /// The target rate, divided by the number of steps.
    pub sparsity: f64,
    /// The fraction of a label that is spread over all classes.
    pub smoothing: f64,
}

impl Default for MseSpikerate {
    fn default() -> MseSpikerate {
        MseSpikerate { sparsity: 0.25, smoothing: 0.0 }
    }
}

impl SampleLoss for MseSpikerate {
    fn name(&self) -> &'static str {
        "mse_spikerate"
    }
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor {
        let rates = traces.reduce_mean([0]);
        let error = &rates - smooth_labels(labels, &rates, self.smoothing) * self.sparsity * steps(traces);
        (&error * &error).reduce_mean([1])
    }
}

/// Squared distance of the outputs' sums over time from target counts, averaged over classes and divided by the number of
/// steps. The target is `correct_rate` of all steps for the correct class and `incorrect_rate` for the others, both rounded
/// down to whole spikes. Source: `snntorch.functional.mse_count_loss`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MseCount {
    /// The fraction of steps in which the correct class should fire.
    pub correct_rate: f64,
    /// The fraction of steps in which the others should fire.
    pub incorrect_rate: f64,
    /// The fraction of a label that is spread over all classes.
    pub smoothing: f64,
}

impl Default for MseCount {
    fn default() -> MseCount {
        MseCount { correct_rate: 1.0, incorrect_rate: 0.0, smoothing: 0.0 }
    }
}

impl SampleLoss for MseCount {
    fn name(&self) -> &'static str {
        "mse_count_loss"
    }
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor {
        let steps = steps(traces);
        let [correct, incorrect] = [self.correct_rate, self.incorrect_rate].map(|rate| (steps * rate).trunc());
        let counts = traces.reduce_sum([0]);
        let error = &counts - wanted(labels, &counts, self.smoothing, correct, incorrect);
        (&error * &error).reduce_mean([1]) / steps
    }
}

/// Squared distance of the outputs at each step from `on_target` for the correct class and `off_target` for the others,
/// averaged over classes and steps. Source: `snntorch.functional.mse_membrane_loss`, which takes an `off_target` below 0 as 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MseMembrane {
    /// The target of the correct class.
    pub on_target: f64,
    /// The target of the others.
    pub off_target: f64,
    /// The fraction of a label that is spread over all classes.
    pub smoothing: f64,
}

impl Default for MseMembrane {
    fn default() -> MseMembrane {
        MseMembrane { on_target: 1.0, off_target: 0.0, smoothing: 0.0 }
    }
}

impl SampleLoss for MseMembrane {
    fn name(&self) -> &'static str {
        "mse_membrane_loss"
    }
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor {
        let like = traces.index_axis(0, 0);
        let wanted = wanted(labels, &like, self.smoothing, self.on_target, self.off_target);
        let error = traces - wanted.broadcast_in_dim(traces.dims(), &[1, 2]);
        (&error * &error).reduce_mean([0, 2])
    }
}

/// One number for the correct class, another for the others, [B, C].
fn wanted(labels: &Tensor, like: &Tensor, smoothing: f64, right: f64, other: f64) -> Tensor {
    smooth_labels(labels, like, smoothing) * (right - other) + other
}

/// The number of time steps of outputs [T, B, C].
fn steps(traces: &Tensor) -> f64 {
    traces.dims().first().copied().unwrap_or_default() as f64
}
