//! Losses and metrics of output traces, time and classes found by name. Knows nothing of models.

use spiq_hlo::{DType, Tensor, Violation};

use super::axes::{Axis, Named, failed, letters};
use crate::choice::Choice;

/// A loss of traces and labels.
pub type TraceLoss = fn(&Named, &Named) -> Tensor;

/// The losses by name, with Spyx's defaults.
pub const LOSSES: &[Choice<TraceLoss>] = &[
    Choice {
        name: "integral_crossentropy",
        about: "cross-entropy of the outputs' sums over time",
        make: integral_crossentropy,
    },
    Choice {
        name: "mse_spikerate",
        about: "squared distance of the outputs' means over time from a rate for each class",
        make: mse_spikerate,
    },
];

/// [`IntegralCrossentropy`] with its defaults.
#[track_caller]
pub fn integral_crossentropy(traces: &Named, labels: &Named) -> Tensor {
    IntegralCrossentropy::default().loss(traces, labels)
}

/// [`MseSpikerate`] with its defaults.
#[track_caller]
pub fn mse_spikerate(traces: &Named, labels: &Named) -> Tensor {
    MseSpikerate::default().loss(traces, labels)
}

/// Cross-entropy of the outputs' sum over time, averaged over the batch. Source: `spyx.fn.integral_crossentropy`.
///
/// ```
/// use spiq::nn::{Axes, IntegralCrossentropy};
/// use spiq_hlo::{DType, TensorType, trace};
/// let inputs = [("traces", TensorType::new(DType::F32, [16, 8, 10])), ("labels", TensorType::new(DType::S32, [8]))];
/// let sharp = IntegralCrossentropy { smoothing: 0.0 };
/// let f = trace(&inputs, |x| vec![sharp.loss(&x[0].named("T B C"), &x[1].named("B"))])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntegralCrossentropy {
    /// The share of a label that is spread over all classes.
    pub smoothing: f64,
}

impl Default for IntegralCrossentropy {
    fn default() -> IntegralCrossentropy {
        IntegralCrossentropy { smoothing: 0.3 }
    }
}

impl IntegralCrossentropy {
    /// The loss, a scalar. Traces have the axes T, B and C in any order; labels are integers `[B]`, class numbers from 0.
    ///
    /// # Errors
    /// Kept in the trace: axes that are missing or left over, sizes that disagree, labels that are not integers.
    #[track_caller]
    pub fn loss(&self, traces: &Named, labels: &Named) -> Tensor {
        let (traces, labels) = match matched(traces, labels) {
            Ok(pair) => pair,
            Err(violation) => return failed(traces.tensor(), "integral_crossentropy", violation),
        };
        let log_probabilities = traces.reduce_sum(&[0]).log_softmax(-1);
        let labels = smooth_labels(&labels, &log_probabilities, self.smoothing);
        (-(labels * log_probabilities).reduce_sum(&[1])).mean()
    }
}

/// Squared distance of the outputs' mean over time from a rate wanted of the right class, averaged over batch and
/// classes. Source: `spyx.fn.mse_spikerate`.
///
/// As in Spyx, the rate wanted is `sparsity` times the number of steps, while that of the outputs is a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MseSpikerate {
    /// The rate wanted, divided by the number of steps.
    pub sparsity: f64,
    /// The share of a label that is spread over all classes.
    pub smoothing: f64,
}

impl Default for MseSpikerate {
    fn default() -> MseSpikerate {
        MseSpikerate { sparsity: 0.25, smoothing: 0.0 }
    }
}

impl MseSpikerate {
    /// The loss, a scalar. Traces have the axes T, B and C in any order; labels are integers `[B]`, class numbers from 0.
    ///
    /// # Errors
    /// Kept in the trace, as for [`IntegralCrossentropy::loss`].
    #[track_caller]
    pub fn loss(&self, traces: &Named, labels: &Named) -> Tensor {
        let (traces, labels) = match matched(traces, labels) {
            Ok(pair) => pair,
            Err(violation) => return failed(traces.tensor(), "mse_spikerate", violation),
        };
        let steps = traces.dims().first().copied().unwrap_or_default();
        let rates = traces.reduce_mean(&[0]);
        let error = &rates - smooth_labels(&labels, &rates, self.smoothing) * self.sparsity * steps as f64;
        (&error * &error).mean()
    }
}

/// The share of the batch whose largest sum over time is that of its label (f32 scalar), and the classes predicted, s32
/// `[B]`; the first of equals wins. Source: `spyx.fn.integral_accuracy`.
///
/// # Errors
/// Kept in the trace, as for [`IntegralCrossentropy::loss`].
#[track_caller]
pub fn integral_accuracy(traces: &Named, labels: &Named) -> (Tensor, Named) {
    let (traces, labels) = match matched(traces, labels) {
        Ok(pair) => pair,
        Err(violation) => {
            let poison = failed(traces.tensor(), "integral_accuracy", violation);
            return (poison.clone(), Named::new(&poison, vec![Axis::Batch]));
        }
    };
    let predictions = traces.reduce_sum(&[0]).argmax(-1);
    let hits = predictions.eq(labels.convert(DType::S32)).convert(DType::F32);
    (hits.mean(), Named::new(&predictions, vec![Axis::Batch]))
}

/// Traces as [T, B, C] and labels as [B], which fit each other.
fn matched(traces: &Named, labels: &Named) -> Result<(Tensor, Tensor), Violation> {
    if traces.tensor().is_poison() || labels.tensor().is_poison() {
        let poison = [traces, labels].into_iter().find(|n| n.tensor().is_poison()).expect("one of them").tensor();
        return Ok((poison.clone(), poison.clone()));
    }
    let wanted = [Axis::Time, Axis::Batch, Axis::Channel];
    let order: Vec<usize> = wanted.iter().filter_map(|axis| traces.position(*axis)).collect();
    let problem = if order.len() != 3 || traces.axes().len() != 3 {
        format!("wants traces with the axes {:?} in any order, got {traces}", letters(&wanted))
    } else if labels.axes() != [Axis::Batch] || traces.size(Axis::Batch) != labels.size(Axis::Batch) {
        format!("traces {traces} and labels {labels} do not have the same batch")
    } else if !labels.tensor().dtype().is_integer() {
        format!("wants class numbers as labels, got {}", labels.tensor().ty())
    } else {
        return Ok((traces.tensor().transpose(&order), labels.tensor().clone()));
    };
    Err(Violation::new("", problem))
}

/// One-hot labels in the type of `like` [B, C], with a share of each spread over the classes. Source:
/// `optax.smooth_labels`.
fn smooth_labels(labels: &Tensor, like: &Tensor, smoothing: f64) -> Tensor {
    if like.is_poison() {
        return like.clone();
    }
    // A narrow type of labels may not hold the numbers of all classes.
    let labels = if labels.dtype().bits() < 32 { labels.convert(DType::S32) } else { labels.clone() };
    let classes = labels.graph().iota(like.ty().with_dtype(labels.dtype()), 1);
    let one_hot = classes.eq(labels.expand_dims(-1)).convert(like.dtype());
    one_hot * (1.0 - smoothing) + smoothing / like.dims()[1] as f64
}
