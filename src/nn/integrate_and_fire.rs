//! The integrate-and-fire neuron, without a leak. Knows nothing of other neurons.

use spiq_hlo::Tensor;

use super::arguments::{described_neuron, layer};
use super::layer::Layer;
use super::parameter::State;
use super::step::Step;
use super::surrogate::Surrogate;

layer! {
    /// Integrate-and-fire neurons: `s = H(V - threshold)`, then `V ← V + x - s threshold`. They have no parameters.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise. Source: `spyx.nn.IF`.
    ///
    /// ```
    /// use spiq::nn::{If, Layer};
    /// assert!(If::new([64]).parameters().is_empty());
    /// ```
    #[doc(alias = "IF")]
    pub struct If = "IF" {
        needs {
            /// Shape of one sample's potentials.
            hidden_shape: Vec<usize>,
        }
        takes {
            /// The potential above which a neuron fires, and by which it falls then.
            threshold: f64 = 1.0,
            /// The derivative that stands in for that of the step.
            activation: Surrogate = Surrogate::default(),
        }
    }
}

impl If {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> If {
        If::with_defaults(hidden_shape.into())
    }
}

impl Layer for If {
    described_neuron!();
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.hidden_shape.as_slice())]
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let v = at.state("potential");
        let spikes = self.activation.spike(&(&v - self.threshold));
        at.set_state("potential", v + x - &spikes * self.threshold);
        spikes
    }
}
