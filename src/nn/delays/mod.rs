//! Delays: one per neuron output, one per synapse, or several fixed ones per synapse.

mod axonal;
mod lags;
mod shift;
mod synaptic;
mod temporal_conv;

pub use axonal::Delay;
pub use lags::Lags;
pub use synaptic::DelayedLinear;
pub use temporal_conv::TemporalConv;
