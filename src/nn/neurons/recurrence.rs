//! Recurrent weights between the neurons of a layer.

use spiq_hlo::{DotDims, Tensor};

use super::options::RecurrentInit;
use crate::nn::parameter::{Init, Parameter};
use crate::nn::step::Step;

/// The name of the weights.
pub(super) const RECURRENT: &str = "recurrent_w";

/// Weights from each neuron to each neuron.
pub(super) fn recurrent_parameter(shape: &[usize], init: RecurrentInit) -> Parameter {
    let init = match init {
        RecurrentInit::Small => Init::TruncatedNormal(0.01),
        RecurrentInit::Orthogonal => Init::Orthogonal,
    };
    Parameter::new(RECURRENT, [shape, shape].concat(), init)
}

/// The recurrent input: the layer's own spikes, with all axes of a sample contracted with the first half of the weights' axes.
/// (Spyx's matrix product is the same for layers of one axis, but different for layers of more.)
#[track_caller]
pub(super) fn feedback(at: &Step<'_>, spikes: &Tensor) -> Tensor {
    let axes = spikes.rank().saturating_sub(1);
    let dims = DotDims { lhs_contract: (1..=axes).collect(), rhs_contract: (0..axes).collect(), ..DotDims::default() };
    spikes.dot_general(&at.parameter(RECURRENT), &dims, spikes.dtype())
}
