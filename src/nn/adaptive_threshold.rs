//! The neuron whose threshold rises with its own spikes. Knows nothing of other neurons.

use spiq_hlo::Tensor;

use super::arguments::{described_neuron, layer};
use super::decay::{check_decays, decay, decay_parameter};
use super::layer::Layer;
use super::parameter::{Parameter, State};
use super::step::Step;
use super::surrogate::Surrogate;

layer! {
    /// Adaptive LIF neurons: `θ = threshold + T`, `s = H(V - θ)`, then `V ← beta V + x - s θ` and
    /// `T ← gamma T + (1 - gamma) s`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` and `adaptation` (T) likewise;
    /// parameters `beta` and `gamma` [hidden_shape…], or scalars where values are given. Units: beta and gamma are what is
    /// left after one time step, clipped to [0, 1] in use. Source: Bellec et al. 2018, arXiv:1803.09574; `spyx.nn.ALIF`.
    ///
    /// ```
    /// use spiq::nn::{Alif, Layer};
    /// let layer = Alif { gamma: Some(0.9), ..Alif::new([64]) };
    /// assert_eq!(layer.parameters().iter().map(|p| p.dims.len()).collect::<Vec<_>>(), [1, 0]);
    /// ```
    #[doc(alias = "ALIF")]
    pub struct Alif = "ALIF" {
        needs {
            /// Shape of one sample's potentials.
            hidden_shape: Vec<usize>,
        }
        takes {
            /// One decay of the potential for all neurons; `None` draws one for each around 0.5. Trained either way.
            beta: Option<f64> = None,
            /// One decay of the adaptation for all neurons; `None` draws one for each around 0.5. Trained either way.
            gamma: Option<f64> = None,
            /// The potential above which a neuron at rest fires.
            threshold: f64 = 1.0,
            /// The derivative that stands in for that of the step.
            activation: Surrogate = Surrogate::default(),
        }
    }
}

impl Alif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> Alif {
        Alif::with_defaults(hidden_shape.into())
    }
}

impl Layer for Alif {
    described_neuron!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("beta", self.beta), ("gamma", self.gamma)])
    }
    fn parameters(&self) -> Vec<Parameter> {
        let (beta, gamma) = (("beta", self.beta), ("gamma", self.gamma));
        [beta, gamma].map(|(name, value)| decay_parameter(name, value, &self.hidden_shape)).to_vec()
    }
    fn states(&self) -> Vec<State> {
        ["potential", "adaptation"].map(|name| State::new(name, self.hidden_shape.as_slice())).to_vec()
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (beta, gamma) = (decay(at, "beta"), decay(at, "gamma"));
        let (v, adaptation) = (at.state("potential"), at.state("adaptation"));
        let threshold = self.threshold + &adaptation;
        let spikes = self.activation.spike(&(&v - &threshold));
        at.set_state("potential", beta * v + x - &spikes * threshold);
        at.set_state("adaptation", &gamma * adaptation + (1.0 - &gamma) * &spikes);
        spikes
    }
}
