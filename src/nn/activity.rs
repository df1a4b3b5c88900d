//! Spike counts per neuron, and penalties on counts that are too low or too high.

use spiq_hlo::{Tensor, Tree, concatenate};

use super::arguments::{described, layer};
use super::layer::{Layer, keeps};
use super::parameter::State;
use super::step::Step;

layer! {
    /// Passes spikes through and counts them, for [`silence_reg`] and [`sparsity_reg`].
    ///
    /// Shapes: x [B, hidden_shape…] to the same; state `spike_count` likewise, the sum over time so far. Source:
    /// `spyx.nn.ActivityRegularization`; here the count has the batch size and dtype of the input.
    ///
    /// ```
    /// use spiq::nn::{ActivityRegularization, Layer};
    /// assert_eq!(ActivityRegularization::new([64]).states()[0].name, "spike_count");
    /// ```
    pub struct ActivityRegularization = "ActivityRegularization" {
        needs {
            /// Shape of one sample's spikes.
            hidden_shape: Vec<usize>,
        }
    }
}

impl ActivityRegularization {
    /// A spike counter for a layer of this shape.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> ActivityRegularization {
        ActivityRegularization::with_defaults(hidden_shape.into())
    }
}

impl Layer for ActivityRegularization {
    described!();
    fn states(&self) -> Vec<State> {
        vec![State::new("spike_count", self.hidden_shape.as_slice())]
    }
    fn takes(&self) -> Vec<usize> {
        self.hidden_shape.clone()
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        keeps(&self.hidden_shape, input)
    }
    fn is_for_a_loss(&self) -> bool {
        true
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let count = at.state("spike_count") + x;
        at.set_state("spike_count", count);
        x.clone()
    }
}

/// The penalty for neurons that fire fewer than `min_spikes` times on average over the batch: the squared shortfall, summed
/// over neurons.
///
/// Shapes: each tensor of `counts` is [B, …], a layer's spikes summed over time. Source: `spyx.fn.silence_reg`.
///
/// ```
/// use spiq::nn::silence_reg;
/// use spiq_hlo::{DType, TensorType, trace};
/// trace(&[("count", TensorType::new(DType::F32, [8, 64]))], |x| vec![silence_reg(&x[0], 2.0)])?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn silence_reg(counts: &impl Tree, min_spikes: f64) -> Tensor {
    penalty(counts, |count| {
        let lack = (min_spikes - count.reduce_mean([0])).maximum(0.0);
        &lack * &lack
    })
}

/// The penalty for samples in which a layer's neurons fire more than `max_spikes` times on average: the Huber loss of the
/// excess with delta 1, summed over samples.
///
/// Shapes: each tensor of `counts` is [B, …], a layer's spikes summed over time. Source: `spyx.fn.sparsity_reg`.
///
/// ```
/// use spiq::nn::sparsity_reg;
/// use spiq_hlo::{DType, TensorType, trace};
/// trace(&[("count", TensorType::new(DType::F32, [8, 64]))], |x| vec![sparsity_reg(&x[0], 4.0)])?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn sparsity_reg(counts: &impl Tree, max_spikes: f64) -> Tensor {
    sparsity_reg_with(counts, max_spikes, huber_loss)
}

/// [`sparsity_reg`] with a caller-supplied elementwise loss instead of Huber's.
#[track_caller]
pub fn sparsity_reg_with(counts: &impl Tree, max_spikes: f64, norm: impl Fn(&Tensor) -> Tensor) -> Tensor {
    penalty(counts, |count| norm(&(count.reduce_mean([1]) - max_spikes).maximum(0.0)))
}

/// The Huber loss with delta 1: half the square up to 1, linear beyond. Source: `optax.huber_loss`.
#[track_caller]
pub fn huber_loss(error: &Tensor) -> Tensor {
    let size = error.abs();
    let quadratic = size.minimum(1.0);
    0.5 * (&quadratic * &quadratic) + (size - quadratic)
}

/// The sum of `charge` over each layer's counts [B, neurons].
#[track_caller]
fn penalty(counts: &impl Tree, charge: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let flat = |count: &Tensor| match count.dims().split_first() {
        Some((&batch, rest)) => count.reshape(&[batch, rest.iter().product()]),
        None => count.clone(),
    };
    let charges: Vec<Tensor> = counts.leaves().iter().map(|count| charge(&flat(count))).collect();
    concatenate(&charges.iter().collect::<Vec<_>>(), 0).sum()
}
