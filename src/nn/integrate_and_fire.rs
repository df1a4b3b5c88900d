//! The integrate-and-fire neuron, without a leak. Knows nothing of other neurons.

use spiq_hlo::Tensor;

use super::layer::{Layer, keeps};
use super::parameter::State;
use super::step::Step;
use super::surrogate::Surrogate;

/// Integrate-and-fire neurons: `s = H(V - threshold)`, then `V ← V + x - s threshold`. They have no parameters.
///
/// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise. Source: `spyx.nn.IF`.
///
/// ```
/// use spiq::nn::{If, Layer};
/// assert!(If::new([64]).parameters().is_empty());
/// ```
#[doc(alias = "IF")]
#[derive(Clone, Debug)]
pub struct If {
    /// Shape of one sample's potentials.
    pub hidden_shape: Vec<usize>,
    /// The potential above which a neuron fires, and by which it falls then.
    pub threshold: f64,
    /// The derivative that stands in for that of the step.
    pub activation: Surrogate,
}

impl If {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> If {
        If { hidden_shape: hidden_shape.into(), threshold: 1.0, activation: Surrogate::default() }
    }
}

impl Layer for If {
    fn kind(&self) -> &'static str {
        "IF"
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.hidden_shape.as_slice())]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        keeps(&self.hidden_shape, input)
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let v = at.state("potential");
        let spikes = self.activation.spike(&(&v - self.threshold));
        at.set_state("potential", v + x - &spikes * self.threshold);
        spikes
    }
}
