//! Losses and metrics of output traces, whose time and class axes are found by name.
//!
//! Invariant: does not depend on models.

mod crossentropy;
mod readout;
mod squared;
mod table;

pub use crossentropy::{Crossentropy, CrossentropyOfSteps, Tet, softmax_cross_entropy_with_integer_labels};
pub use readout::{READOUTS, Readout};
pub use squared::{MseCount, MseMembrane, MseSpikerate};
pub use table::{LOSSES, MakeLoss};

use std::fmt;

use spiq_hlo::{Array, DType, Tensor, TensorType, Violation};

use super::axes::{Axis, Named, failed, letters};

/// A loss of samples with one class each.
pub trait SampleLoss: fmt::Debug + Send + Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// The loss of each sample, `[B]`, from outputs [T, B, C] and class numbers `[B]`.
    #[track_caller]
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor;

    /// The loss, a scalar: the mean over the batch. Traces have the axes T, B and C in any order; labels are integers `[B]`, class
    /// numbers from 0.
    ///
    /// # Errors
    /// Recorded in the trace: axes that are missing or left over, sizes that disagree, labels that are not integers.
    ///
    /// ```
    /// use spiq::nn::{Axes, SampleLoss, Tet};
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let inputs = [("traces", TensorType::new(DType::F32, [16, 8, 10])), ("labels", TensorType::new(DType::S32, [8]))];
    /// let loss = Tet { lambda: 0.01, ..Tet::default() };
    /// let f = trace(&inputs, |x| vec![loss.loss(&x[0].named("T B C"), &x[1].named("B"))])?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    fn loss(&self, traces: &Named, labels: &Named) -> Tensor {
        match matched(traces, labels) {
            Ok((traces, labels)) => self.of_samples(&traces, &labels).mean(),
            Err(violation) => failed(traces.tensor(), self.name(), violation),
        }
    }

    /// The loss, with that of each sample weighted by its class before the mean. Source: the `weight` of snnTorch's losses.
    ///
    /// # Errors
    /// Recorded in the trace, as for [`loss`](SampleLoss::loss); also a number of weights other than that of classes.
    #[track_caller]
    fn weighted(&self, traces: &Named, labels: &Named, weights: &[f64]) -> Tensor {
        let (traces, labels) = match matched(traces, labels) {
            Ok(pair) => pair,
            Err(violation) => return failed(traces.tensor(), self.name(), violation),
        };
        if traces.is_poison() {
            return traces;
        }
        let classes = traces.dims()[2];
        if weights.len() != classes {
            let message = format!("has {} weights for {classes} classes", weights.len());
            return traces.graph().fail(self.name(), Violation::new("", message));
        }
        let losses = self.of_samples(&traces, &labels);
        let weights = weights.iter().map(|weight| *weight as f32).collect::<Vec<_>>();
        let weights = traces.graph().constant(&Array::new([classes], weights).expect("one weight per class"));
        (weights.take_clipped(&labels, 0).convert(losses.dtype()) * losses).mean()
    }
}

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
/// use spiq::nn::{Axes, IntegralCrossentropy, SampleLoss};
/// use spiq_hlo::{DType, TensorType, trace};
/// let inputs = [("traces", TensorType::new(DType::F32, [16, 8, 10])), ("labels", TensorType::new(DType::S32, [8]))];
/// let sharp = IntegralCrossentropy { smoothing: 0.0 };
/// let f = trace(&inputs, |x| vec![sharp.loss(&x[0].named("T B C"), &x[1].named("B"))])?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntegralCrossentropy {
    /// The fraction of a label that is spread over all classes.
    pub smoothing: f64,
}

impl Default for IntegralCrossentropy {
    fn default() -> IntegralCrossentropy {
        IntegralCrossentropy { smoothing: 0.3 }
    }
}

impl SampleLoss for IntegralCrossentropy {
    fn name(&self) -> &'static str {
        "integral_crossentropy"
    }
    fn of_samples(&self, traces: &Tensor, labels: &Tensor) -> Tensor {
        Crossentropy { of: Readout::Sum, smoothing: self.smoothing }.of_samples(traces, labels)
    }
}

/// The fraction of the batch whose largest sum over time is that of its label (f32 scalar), and the predicted classes, s32
/// `[B]`; the first of equal sums wins. Source: `spyx.fn.integral_accuracy`. Other ways to read outputs: [`Readout`].
///
/// # Errors
/// Recorded in the trace, as for [`SampleLoss::loss`].
#[track_caller]
pub fn integral_accuracy(traces: &Named, labels: &Named) -> (Tensor, Named) {
    Readout::Sum.accuracy_of(traces, labels)
}

/// Traces as [T, B, C] and labels as [B], checked against each other.
fn matched(traces: &Named, labels: &Named) -> Result<(Tensor, Tensor), Violation> {
    if traces.tensor().is_poison() || labels.tensor().is_poison() {
        let poison = [traces, labels].into_iter().find(|n| n.tensor().is_poison()).expect("one of them").tensor();
        return Ok((poison.clone(), poison.clone()));
    }
    let wanted = [Axis::Time, Axis::Batch, Axis::Channel];
    let order: Vec<usize> = wanted.iter().filter_map(|axis| traces.position(*axis)).collect();
    let problem = if order.len() != 3 || traces.axes().len() != 3 {
        format!("expects traces with the axes {:?} in any order, got {traces}", letters(&wanted))
    } else if labels.axes() != [Axis::Batch] || traces.size(Axis::Batch) != labels.size(Axis::Batch) {
        format!("traces {traces} and labels {labels} do not have the same batch")
    } else if !labels.tensor().dtype().is_integer() {
        format!("expects class numbers as labels, got {}", labels.tensor().ty())
    } else {
        return Ok((traces.tensor().transpose(&order), labels.tensor().clone()));
    };
    Err(Violation::new("", problem))
}

/// One-hot labels in the dtype of `like` [B, C], with a fraction `smoothing` of each spread over the classes. Source:
/// `optax.smooth_labels`.
fn smooth_labels(labels: &Tensor, like: &Tensor, smoothing: f64) -> Tensor {
    if like.is_poison() {
        return like.clone();
    }
    // A narrow dtype of labels may be unable to represent all class numbers.
    let labels = if labels.dtype().bits() < 32 { labels.convert(DType::S32) } else { labels.clone() };
    let ty: TensorType = like.ty().with_dtype(labels.dtype());
    let classes = labels.graph().iota(ty, 1);
    let one_hot = classes.eq(labels.expand_dims(-1)).convert(like.dtype());
    one_hot * (1.0 - smoothing) + smoothing / like.dims()[1] as f64
}
