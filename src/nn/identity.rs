//! The identity layer.

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::layer::Layer;
use super::step::Step;

layer! {
    /// Returns its input. It replaces a removed layer, so that the others keep their numbers: for example
    /// [`BatchNorm`](super::BatchNorm) that was folded into the weights before it.
    ///
    /// Shapes: x [B, …] to the same. Source: `flax.nnx.identity`.
    pub struct Identity = "Identity" {}
}

impl Identity {
    /// An identity layer.
    pub fn new() -> Identity {
        Identity::with_defaults()
    }
}

impl Default for Identity {
    fn default() -> Identity {
        Identity::new()
    }
}

impl Layer for Identity {
    described!();
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(input.to_vec())
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        x.clone()
    }
}
