//! The neuron with a synaptic current between input and potential. Knows nothing of other neurons.

use spiq_hlo::Tensor;

use super::arguments::{described_neuron, layer};
use super::decay::{check_decays, decay, decay_parameter};
use super::layer::Layer;
use super::parameter::{Parameter, State};
use super::step::Step;
use super::surrogate::Surrogate;

layer! {
    /// Current-based LIF neurons: `s = H(V - threshold)`, then `I ← alpha I + x` and
    /// `V ← beta (V - s threshold) + I`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` and `current` likewise; parameters
    /// `alpha` and `beta` [hidden_shape…], or scalars where values are given. Units: alpha and beta are what is left after
    /// one time step, clipped to [0, 1] in use. Source: `spyx.nn.CuBaLIF`.
    ///
    /// ```
    /// use spiq::nn::{CuBaLif, Layer};
    /// let names: Vec<String> = CuBaLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["alpha", "beta"]);
    /// ```
    #[doc(alias = "CuBaLIF")]
    pub struct CuBaLif = "CuBaLIF" {
        needs {
            /// Shape of one sample's potentials.
            hidden_shape: Vec<usize>,
        }
        takes {
            /// One decay of the current for all neurons; `None` draws one for each around 0.5. Trained either way.
            alpha: Option<f64> = None,
            /// One decay of the potential for all neurons; `None` draws one for each around 0.5. Trained either way.
            beta: Option<f64> = None,
            /// The potential above which a neuron fires, and by which it falls then.
            threshold: f64 = 1.0,
            /// The derivative that stands in for that of the step.
            activation: Surrogate = Surrogate::default(),
        }
    }
}

impl CuBaLif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> CuBaLif {
        CuBaLif::with_defaults(hidden_shape.into())
    }
}

impl Layer for CuBaLif {
    described_neuron!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("alpha", self.alpha), ("beta", self.beta)])
    }
    fn parameters(&self) -> Vec<Parameter> {
        let (alpha, beta) = (("alpha", self.alpha), ("beta", self.beta));
        [alpha, beta].map(|(name, value)| decay_parameter(name, value, &self.hidden_shape)).to_vec()
    }
    fn states(&self) -> Vec<State> {
        ["potential", "current"].map(|name| State::new(name, self.hidden_shape.as_slice())).to_vec()
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (alpha, beta) = (decay(at, "alpha"), decay(at, "beta"));
        let v = at.state("potential");
        let spikes = self.activation.spike(&(&v - self.threshold));
        let v = v - &spikes * self.threshold;
        let current = alpha * at.state("current") + x;
        at.set_state("potential", beta * v + &current);
        at.set_state("current", current);
        spikes
    }
}
