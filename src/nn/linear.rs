//! A matrix product with an optional bias.

use std::sync::Arc;

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::layer::{Layer, Synapses, before_features};
use super::parameter::{Init, Parameter};
use super::step::Step;

layer! {
    /// `x · kernel + bias` over the last axis, with any leading axes.
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
    pub struct Linear = "Linear" {
        needs {
            /// Size of the input's last axis.
            in_features: usize,
            /// Size of the output's last axis.
            out_features: usize,
        }
        takes {
            /// Whether a bias is added.
            use_bias: bool = true,
        }
    }
}

impl Linear {
    /// A layer with a bias.
    pub fn new(in_features: usize, out_features: usize) -> Linear {
        Linear::with_defaults(in_features, out_features)
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Linear {
        Linear { use_bias: false, ..self }
    }
}

impl Layer for Linear {
    described!();
    fn parameters(&self) -> Vec<Parameter> {
        let kernel = Parameter::new("kernel", [self.in_features, self.out_features], Init::LecunNormal);
        let bias = Parameter::new("bias", [self.out_features], Init::Zeros);
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.in_features]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok([before_features(self.in_features, input)?, &[self.out_features]].concat())
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn with_bias(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Linear { use_bias: true, ..self.clone() }))
    }
    fn synapses(&self) -> Option<Synapses> {
        Some(Synapses::OfInput)
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let y = x.dot(&at.parameter("kernel"));
        if self.use_bias { y + at.parameter("bias") } else { y }
    }
}
