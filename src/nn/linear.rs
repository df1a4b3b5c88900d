//! A matrix product with an optional bias. Knows nothing of time and neurons.

use spiq_hlo::Tensor;

use super::layer::Layer;
use super::parameter::{Init, Parameter};
use super::step::Step;

/// `x · kernel + bias` over the last axis, with any axes before it.
///
/// Shapes: x […, in_features] to […, out_features]; parameters `kernel` `[in_features, out_features]` and `bias`
/// `[out_features]`. Source: `flax.nnx.Linear`.
///
/// ```
/// use spiq::nn::{Layer, Linear};
/// let layer = Linear::new(32, 64).without_bias();
/// assert_eq!(layer.output(&[32]), Ok(vec![64]));
/// assert_eq!(layer.parameters().len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Size of the last axis that comes in.
    pub in_features: usize,
    /// Size of the last axis that goes out.
    pub out_features: usize,
    /// Whether a bias is added.
    pub use_bias: bool,
}

impl Linear {
    /// A layer with a bias.
    pub fn new(in_features: usize, out_features: usize) -> Linear {
        Linear { in_features, out_features, use_bias: true }
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Linear {
        Linear { use_bias: false, ..self }
    }
}

impl Layer for Linear {
    fn kind(&self) -> &'static str {
        "Linear"
    }
    fn parameters(&self) -> Vec<Parameter> {
        let kernel = Parameter::new("kernel", [self.in_features, self.out_features], Init::LecunNormal);
        let bias = Parameter::new("bias", [self.out_features], Init::Zeros);
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match input.split_last() {
            Some((&last, rest)) if last == self.in_features => Ok([rest, &[self.out_features]].concat()),
            _ => Err(format!("wants {} features, got {input:?}", self.in_features)),
        }
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let y = x.dot(&at.parameter("kernel"));
        if self.use_bias { y + at.parameter("bias") } else { y }
    }
}
