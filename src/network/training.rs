//! The forward pass of a training step, with statistics as state.

use spiq_hlo::TensorType;

use super::forward::Statistics;
use super::{Forward, Network, Pass};
use crate::error::Result;
use crate::quant::Mode;

impl Network {
    /// The forward pass of a training step, quantized by the rules and split along time. It returns the states for a loss and the updated
    /// statistics, which start at zero.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn training(&self, x: &TensorType) -> Result<Forward> {
        self.with_state(x, Pass { training: true, ..Mode::Qat.into() })
    }

    /// Like [`training`](Network::training), with everything that a loss may read: the spike counts of each neuron and, if `broken`, which
    /// layers have outputs that are not finite.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn training_with_counts(&self, x: &TensorType, broken: bool) -> Result<Forward> {
        self.with_state(x, Pass { training: true, spike_counts: true, broken, ..Mode::Qat.into() })
    }

    /// Like [`training`](Network::training), but deterministic: for collecting statistics without training.
    pub(crate) fn seeing(&self, x: &TensorType) -> Result<Forward> {
        self.with_state(x, Mode::Qat.into())
    }

    fn with_state(&self, x: &TensorType, pass: Pass) -> Result<Forward> {
        self.pass(x, pass, Statistics::Kept)?.cut(self.time_tile.unwrap_or(x.dims[0]))
    }
}
