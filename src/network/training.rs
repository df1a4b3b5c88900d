//! The forward pass of a training step, in which statistics are state. Knows no loss.

use spiq_hlo::TensorType;

use super::forward::Statistics;
use super::{Forward, Network, Pass};
use crate::error::Result;
use crate::quant::Mode;

impl Network {
    /// The forward pass of a training step, quantized by the rules and cut along time. It gives the states for a loss and
    /// what has become of the statistics, which start as zeros.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn training(&self, x: &TensorType) -> Result<Forward> {
        self.with_state(x, Pass { training: true, ..Mode::Qat.into() })
    }

    /// Like [`training`](Network::training), with all that a loss may ask for: the spikes of each neuron, counted, and, where
    /// `broken`, which layers give numbers that are not finite.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn training_with_counts(&self, x: &TensorType, broken: bool) -> Result<Forward> {
        self.with_state(x, Pass { training: true, spike_counts: true, broken, ..Mode::Qat.into() })
    }

    /// Like [`training`](Network::training), but nothing is random: for statistics of a network that is not trained on.
    pub(crate) fn seeing(&self, x: &TensorType) -> Result<Forward> {
        self.with_state(x, Mode::Qat.into())
    }

    fn with_state(&self, x: &TensorType, pass: Pass) -> Result<Forward> {
        self.pass(x, pass, Statistics::Kept)?.cut(self.time_tile.unwrap_or(x.dims[0]))
    }
}
