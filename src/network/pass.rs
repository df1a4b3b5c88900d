//! What a forward pass is for. Knows no network.

use crate::quant::Mode;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Whether rules quantize as in training or after it.
    pub mode: Mode,
    /// Whether what is random while training is so.
    pub training: bool,
    /// Whether the spike rates of the layers are computed.
    pub spike_rates: bool,
    /// Whether it is given what synapses are multiplied with.
    pub driven: bool,
    /// Whether the spikes of each neuron are counted, for a loss.
    pub spike_counts: bool,
    /// Whether it says which layers give numbers that are not finite.
    pub broken: bool,
}

impl From<Mode> for Pass {
    /// A pass that is not random and gives the traces only.
    fn from(mode: Mode) -> Pass {
        Pass { mode, training: false, spike_rates: false, spike_counts: false, broken: false, driven: false }
    }
}
