//! A convolution along time.

use std::sync::Arc;

use spiq_hlo::Tensor;

use super::shift::{PAST, at_lags, behind_its_past, product, product_of_each_step};
use crate::nn::arguments::{described, layer};
use crate::nn::layer::{Layer, Synapses, features_alone};
use crate::nn::parameter::{Init, Parameter, State};
use crate::nn::step::Step;

layer! {
    /// A causal convolution along time: `y(t) = Σ_k x(t - k · dilation) · kernel_k + bias`. Each synapse has a weight for each of
    /// `kernel_size` fixed delays.
    ///
    /// Shapes: x [T, B, in_features] to [T, B, out_features]; parameters `kernel` [kernel_size, in_features, out_features], the
    /// weights of the present step first, and `bias` `[out_features]`; state `past`
    /// [B, (kernel_size - 1) · dilation, in_features], the last steps. Source: `flax.nnx.Conv` along time with padding
    /// `CAUSAL`, whose kernel is this one with its first axis reversed.
    ///
    /// ```
    /// use spiq::nn::{Layer, TemporalConv};
    /// assert_eq!(TemporalConv::new(140, 64, 5).parameters()[0].dims, [5, 140, 64]);
    /// ```
    pub struct TemporalConv = "TemporalConv" {
        needs {
            /// Size of the input's last axis.
            in_features: usize,
            /// Size of the output's last axis.
            out_features: usize,
            /// Number of steps in the window.
            kernel_size: usize,
        }
        takes {
            /// Distance between these steps.
            dilation: usize = 1,
            /// Whether a bias is added.
            use_bias: bool = true,
        }
    }
}

impl TemporalConv {
    /// A convolution of neighbouring steps with a bias.
    pub fn new(in_features: usize, out_features: usize, kernel_size: usize) -> TemporalConv {
        TemporalConv::with_defaults(in_features, out_features, kernel_size)
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> TemporalConv {
        TemporalConv { use_bias: false, ..self }
    }

    /// The largest delay, in steps.
    fn most(&self) -> usize {
        self.kernel_size.saturating_sub(1).saturating_mul(self.dilation)
    }

    /// The weights of all delays, concatenated, [kernel_size · in_features, out_features].
    #[track_caller]
    fn matrix(&self, at: &Step<'_>) -> Tensor {
        at.parameter("kernel").reshape(&[self.kernel_size * self.in_features, self.out_features])
    }

    fn bias(&self, at: &Step<'_>) -> Option<Tensor> {
        self.use_bias.then(|| at.parameter("bias"))
    }
}

/// The longest window, in steps.
const LONGEST: usize = 1 << 20;

impl Layer for TemporalConv {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        match (self.kernel_size, self.most()) {
            (0, _) => Err(("kernel_size", "is 0, but must be at least 1".to_owned())),
            (size, most) if most > LONGEST => {
                let reason = format!("is {size}, which makes the window longer than {LONGEST} time steps");
                Err(("kernel_size", reason))
            }
            _ => Ok(()),
        }
    }
    fn parameters(&self) -> Vec<Parameter> {
        let dims = [self.kernel_size, self.in_features, self.out_features];
        let kernel = Parameter::new("kernel", dims, Init::LecunNormal);
        let bias = self.use_bias.then(|| Parameter::new("bias", [self.out_features], Init::Zeros));
        std::iter::once(kernel).chain(bias).collect()
    }
    fn states(&self) -> Vec<State> {
        vec![State::new(PAST, [self.most(), self.in_features])]
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.in_features]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        features_alone(self.in_features, input).map(|()| vec![self.out_features])
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn synapses(&self) -> Option<Synapses> {
        Some(Synapses::OfPastInputs)
    }
    fn spans_time(&self) -> bool {
        true
    }
    fn with_bias(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(TemporalConv { use_bias: true, ..self.clone() }))
    }
    /// Takes the inputs of one step at all delays, side by side: [B, kernel_size · in_features].
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        product(x, &self.matrix(at), self.bias(at).as_ref())
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let known = behind_its_past(at, x, self.most(), 0);
        if known.is_poison() {
            return known;
        }
        let inputs = at_lags(&known, self.most(), self.dilation);
        at.note_driven(&inputs);
        product_of_each_step(&inputs, &self.matrix(at), self.bias(at).as_ref())
    }
}
