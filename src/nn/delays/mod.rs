//! Delays: of each neuron's output, or of each synapse.

mod axonal;
mod shift;
mod synaptic;

pub use axonal::Delay;
pub use synaptic::DelayedLinear;
