//! Options of a forward pass.

use crate::quant::Mode;

/// Options of a forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Whether rules quantize as in training or after it.
    pub mode: Mode,
    /// Whether training-time randomness is active.
    pub training: bool,
    /// Whether to return the spike rates of the layers.
    pub spike_rates: bool,
    /// Whether to return the inputs of the synapses.
    pub driven: bool,
    /// Whether to count the spikes of each neuron, for a loss.
    pub spike_counts: bool,
    /// Whether to report which layers have outputs that are not finite.
    pub broken: bool,
}

impl From<Mode> for Pass {
    /// A deterministic pass that only returns the traces.
    fn from(mode: Mode) -> Pass {
        Pass { mode, training: false, spike_rates: false, spike_counts: false, broken: false, driven: false }
    }
}
