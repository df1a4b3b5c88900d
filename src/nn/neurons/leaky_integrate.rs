//! The leaky integrator, a readout that does not fire.

use spiq_hlo::Tensor;

use super::decay::{check_decays, decay, decay_parameter};
use crate::nn::arguments::{described, layer};
use crate::nn::layer::{Layer, keeps};
use crate::nn::parameter::{Init, Parameter, State};
use crate::nn::step::Step;

layer! {
    /// Leaky integrators: `V ← beta V + x`; the output is V.
    ///
    /// Shapes: x [B, layer_shape…] to potentials of that shape; state `potential` likewise; parameter `beta` [layer_shape…], or
    /// a scalar where a value is given. Units: beta is the fraction of the potential left after one time step, clipped to
    /// [0, 1] when used. Source: `spyx.nn.LI`.
    ///
    /// ```
    /// use spiq::nn::{Layer, Li};
    /// assert_eq!(Li::new([10]).parameters()[0].dims, [10]);
    /// assert!(Li { beta: Some(0.5), ..Li::new([10]) }.parameters()[0].dims.is_empty());
    /// ```
    #[doc(alias = "LI")]
    pub struct Li = "LI" {
        needs {
            /// Shape of one sample's potentials.
            layer_shape: Vec<usize>,
        }
        takes {
            /// A single decay for all units; without it, each unit has its own, initially 0.8. Trained in either case.
            beta: Option<f64> = None,
        }
    }
}

impl Li {
    /// Integrators with Spyx's default decay.
    pub fn new(layer_shape: impl Into<Vec<usize>>) -> Li {
        Li::with_defaults(layer_shape.into())
    }
}

impl Layer for Li {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("beta", self.beta)])
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![match self.beta {
            Some(_) => decay_parameter("beta", self.beta, &self.layer_shape),
            None => Parameter::new("beta", self.layer_shape.as_slice(), Init::Constant(0.8)),
        }]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.layer_shape.as_slice())]
    }
    fn takes(&self) -> Vec<usize> {
        self.layer_shape.clone()
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        keeps(&self.layer_shape, input)
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let v = decay(at, "beta") * at.state("potential") + x;
        at.set_state("potential", v.clone());
        v
    }
}
