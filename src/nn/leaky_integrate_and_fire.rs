//! The leaky integrate-and-fire neuron. Knows nothing of other neurons.

use spiq_hlo::Tensor;

use super::arguments::{described_neuron, layer};
use super::decay::{check_decays, decay, decay_parameter};
use super::layer::Layer;
use super::parameter::{Parameter, State};
use super::step::Step;
use super::surrogate::Surrogate;

layer! {
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
    pub struct Lif = "LIF" {
        needs {
            /// Shape of one sample's potentials.
            hidden_shape: Vec<usize>,
        }
        takes {
            /// One decay for all neurons; `None` draws one for each around 0.5. Trained either way.
            beta: Option<f64> = None,
            /// The potential above which a neuron fires, and by which it falls then.
            threshold: f64 = 1.0,
            /// The derivative that stands in for that of the step.
            activation: Surrogate = Surrogate::default(),
        }
    }
}

impl Lif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> Lif {
        Lif::with_defaults(hidden_shape.into())
    }
}

impl Layer for Lif {
    described_neuron!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("beta", self.beta)])
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![decay_parameter("beta", self.beta, &self.hidden_shape)]
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.hidden_shape.as_slice())]
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (beta, v) = (decay(at, "beta"), at.state("potential"));
        let spikes = self.activation.spike(&(&v - self.threshold));
        at.set_state("potential", beta * v + x - &spikes * self.threshold);
        spikes
    }
}
