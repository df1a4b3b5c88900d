//! The leaky integrate-and-fire neuron. Knows nothing of other neurons.

use spiq_hlo::Tensor;

use super::layer::{Layer, keeps};
use super::leaky_integrate::{decay, decay_parameter};
use super::parameter::{Parameter, State};
use super::step::Step;
use super::surrogate::Surrogate;

/// Leaky integrate-and-fire neurons: `s = H(V - threshold)`, then `V ← beta V + x - s threshold`.
///
/// A spike answers the potential that the step before left, so an input shows in the output one step later.
///
/// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise; parameter `beta`
/// [hidden_shape…], or a scalar where a value is given. Units: beta is the share of the potential that is left after one
/// time step, clipped to [0, 1] in use. Source: `spyx.nn.LIF`.
///
/// ```
/// use spiq::nn::{Lif, Surrogate};
/// let layer = Lif { threshold: 0.5, activation: Surrogate::triangular(), ..Lif::new([64]) };
/// assert_eq!(layer.beta, None);
/// ```
#[doc(alias = "LIF")]
#[derive(Clone, Debug)]
pub struct Lif {
    /// Shape of one sample's potentials.
    pub hidden_shape: Vec<usize>,
    /// One decay for all neurons; `None` draws one for each around 0.5. Trained either way.
    pub beta: Option<f64>,
    /// The potential above which a neuron fires, and by which it falls then.
    pub threshold: f64,
    /// The derivative that stands in for that of the step.
    pub activation: Surrogate,
}

impl Lif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> Lif {
        Lif { hidden_shape: hidden_shape.into(), beta: None, threshold: 1.0, activation: Surrogate::default() }
    }
}

impl Layer for Lif {
    fn kind(&self) -> &'static str {
        "LIF"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![decay_parameter(self.beta, &self.hidden_shape)]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.hidden_shape.as_slice())]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        keeps(&self.hidden_shape, input)
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (beta, v) = (decay(at, "beta"), at.state("potential"));
        let spikes = self.activation.spike(&(&v - self.threshold));
        at.set_state("potential", beta * v + x - &spikes * self.threshold);
        spikes
    }
}
