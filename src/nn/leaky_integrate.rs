//! The leaky integrator, a readout that does not fire, and the decay that neurons share. Knows nothing of spikes.

use spiq_hlo::Tensor;

use super::layer::{Layer, keeps};
use super::parameter::{Init, Parameter, State};
use super::step::Step;

/// Leaky integrators: `V ← beta V + x`, and the output is V.
///
/// Shapes: x [B, layer_shape…] to potentials of that shape; state `potential` likewise; parameter `beta` [layer_shape…],
/// or a scalar where a value is given. Units: beta is the share of the potential that is left after one time step, clipped
/// to [0, 1] in use. Source: `spyx.nn.LI`.
///
/// ```
/// use spiq::nn::{Layer, Li};
/// assert_eq!(Li::new([10]).parameters()[0].dims, [10]);
/// assert!(Li { beta: Some(0.5), ..Li::new([10]) }.parameters()[0].dims.is_empty());
/// ```
#[doc(alias = "LI")]
#[derive(Clone, Debug, PartialEq)]
pub struct Li {
    /// Shape of one sample's potentials.
    pub layer_shape: Vec<usize>,
    /// One decay for all units; `None` gives each its own, 0.8 at first. Trained either way.
    pub beta: Option<f64>,
}

impl Li {
    /// Integrators with Spyx's default decay.
    pub fn new(layer_shape: impl Into<Vec<usize>>) -> Li {
        Li { layer_shape: layer_shape.into(), beta: None }
    }
}

impl Layer for Li {
    fn kind(&self) -> &'static str {
        "LI"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![match self.beta {
            Some(_) => decay_parameter(self.beta, &self.layer_shape),
            None => Parameter::new("beta", self.layer_shape.as_slice(), Init::Constant(0.8)),
        }]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.layer_shape.as_slice())]
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

/// A decay's parameter: a scalar of this value, or one for each neuron as Spyx draws them.
pub(super) fn decay_parameter(value: Option<f64>, shape: &[usize]) -> Parameter {
    match value {
        Some(value) => Parameter::new("beta", [], Init::Constant(value)),
        None => Parameter::new("beta", shape, Init::SpyxBeta),
    }
}

/// A decay in use: clipped to [0, 1]. At the very ends half of the gradient passes, as with `jnp.clip`.
pub(super) fn decay(at: &Step<'_>, name: &str) -> Tensor {
    at.parameter(name).maximum(0.0).minimum(1.0)
}
