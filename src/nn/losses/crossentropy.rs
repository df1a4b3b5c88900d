//! Cross-entropy losses of outputs over time.

use spiq_hlo::Tensor;

use super::readout::Readout;
use super::{SampleLoss, smooth_labels};

/// Cross-entropy of one score per class.
///
/// With the [sum over time](Readout::Sum) it is `spyx.fn.integral_crossentropy` and `snntorch.functional.ce_count_loss`, with
/// the [largest value](Readout::Max) `ce_max_membrane_loss`; the [sum of softmax](Readout::SoftmaxSum) is that of Bittar and
/// Garner 2022, which passes through the softmax of the cross-entropy once more, as in that paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossentropy {
    /// How outputs become scores.
    pub of: Readout,
    /// The fraction of a label that is spread over all classes.
    pub smoothing: f64,
}

impl SampleLoss for Crossentropy {
    fn name(&self) -> &'static str {
        match self.of {
            Readout::Sum => "ce_count_loss",
            Readout::Mean => "ce_mean_loss",
            Readout::Max => "ce_max_membrane_loss",
            Readout::LastStep => "ce_last_step_loss",
            Readout::SoftmaxSum => "ce_softmax_sum_loss",
            Readout::FirstSpike => "ce_first_spike_loss",
        }
    }
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor {
        crossentropy(&self.of.scores(traces), labels, self.smoothing)
    }
}

/// The mean over time of the cross-entropy at each step. Source: `snntorch.functional.ce_rate_loss`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossentropyOfSteps {
    /// The fraction of a label that is spread over all classes.
    pub smoothing: f64,
}

impl SampleLoss for CrossentropyOfSteps {
    fn name(&self) -> &'static str {
        "ce_rate_loss"
    }
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor {
        let steps = traces.log_softmax(-1);
        // Only the mean over time is multiplied with the labels, so that they are not repeated for each step.
        entropy(&steps.reduce_mean([0]), labels, self.smoothing)
    }
}

/// Temporal efficient training: `(1 - lambda)` times the mean over time of the cross-entropy at each step, plus `lambda` times
/// the squared distance of all outputs from `phi`. Source: Deng et al. 2022, arXiv:2202.11946, equations 6 to 8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tet {
    /// The weight of the distance.
    pub lambda: f64,
    /// The value near which outputs are kept, about the threshold.
    pub phi: f64,
    /// The fraction of a label that is spread over all classes.
    pub smoothing: f64,
}

impl Default for Tet {
    /// The values in its authors' code: lambda 0.001, phi 1, no smoothing.
    fn default() -> Tet {
        Tet { lambda: 1e-3, phi: 1.0, smoothing: 0.0 }
    }
}

impl SampleLoss for Tet {
    fn name(&self) -> &'static str {
        "tet_loss"
    }
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor {
        let entropy = CrossentropyOfSteps { smoothing: self.smoothing }.of_samples(traces, labels);
        let off = traces - self.phi;
        (1.0 - self.lambda) * entropy + self.lambda * (&off * &off).reduce_mean([0, 2])
    }
}

/// The cross-entropy of each sample. Shapes: logits [.., C], integer labels [..], result [..]. Source:
/// `optax.softmax_cross_entropy_with_integer_labels`.
///
/// # Errors
/// Recorded in the trace: labels that are not integers, or of another shape.
///
/// ```
/// use spiq::prelude::*;
/// let inputs = (TensorType::new(DType::F32, [8, 10]), TensorType::new(DType::S32, [8]));
/// let entropy = |(x, y): (Tensor, Tensor)| nn::softmax_cross_entropy_with_integer_labels(&x, &y).mean();
/// assert_eq!(spiq::trace_tree(&inputs, entropy)?.1.to_string(), "f32[]");
/// # Ok::<(), spiq::GraphErrors>(())
/// ```
#[track_caller]
pub fn softmax_cross_entropy_with_integer_labels(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.logsumexp(-1) - logits.take_along_axis(&labels.expand_dims(-1), -1).squeeze(-1)
}

/// The cross-entropy [B] of scores [B, C].
fn crossentropy(scores: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    entropy(&scores.log_softmax(-1), labels, smoothing)
}

/// The cross-entropy [B] of log-probabilities [B, C].
fn entropy(log_probabilities: &Tensor, labels: &Tensor, smoothing: f64) -> Tensor {
    -(smooth_labels(labels, log_probabilities, smoothing) * log_probabilities).reduce_sum([1])
}
