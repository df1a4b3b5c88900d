//! Neurons that hear their own layer's spikes through a matrix. Knows nothing of other neurons.

use spiq_hlo::{DotDims, Tensor};

use super::arguments::{described_neuron, layer};
use super::decay::{check_decays, decay, decay_parameter};
use super::layer::{Layer, Synapses};
use super::parameter::{Init, Parameter, State};
use super::step::Step;
use super::surrogate::Surrogate;

layer! {
    /// Recurrent integrate-and-fire neurons: `s = H(V - threshold)`, then `V ← V + x + s · W - s threshold`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise; parameter `recurrent_w`
    /// [hidden_shape…, hidden_shape…], from the neuron that fires to the one that hears it. Source: `spyx.nn.RIF`.
    ///
    /// ```
    /// use spiq::nn::{Layer, Rif};
    /// assert_eq!(Rif::new([64]).parameters()[0].dims, [64, 64]);
    /// ```
    #[doc(alias = "RIF")]
    pub struct Rif = "RIF" {
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

layer! {
    /// Recurrent LIF neurons: `s = H(V - threshold)`, then `V ← beta V + x + s · W - s threshold`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; state `potential` likewise; parameters `recurrent_w`
    /// [hidden_shape…, hidden_shape…], from the neuron that fires to the one that hears it, and `beta` [hidden_shape…], or a
    /// scalar where a value is given. Units: beta is the share of the potential that is left after one time step, clipped to
    /// [0, 1] in use. Source: `spyx.nn.RLIF`.
    ///
    /// ```
    /// use spiq::nn::{Layer, Rlif};
    /// let names: Vec<String> = Rlif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["recurrent_w", "beta"]);
    /// ```
    #[doc(alias = "RLIF")]
    pub struct Rlif = "RLIF" {
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

layer! {
    /// Recurrent current-based LIF neurons: `s = H(V - threshold)`, then `I ← alpha I + x + s · W` and
    /// `V ← beta (V - s threshold) + I`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` and `current` likewise; parameters
    /// `recurrent_w` [hidden_shape…, hidden_shape…], from the neuron that fires to the one that hears it, `alpha` and `beta`
    /// [hidden_shape…], or scalars where values are given. Units: alpha and beta are what is left after one time step,
    /// clipped to [0, 1] in use. Source: `spyx.nn.RCuBaLIF`.
    ///
    /// ```
    /// use spiq::nn::{Layer, RCuBaLif};
    /// let names: Vec<String> = RCuBaLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["recurrent_w", "alpha", "beta"]);
    /// ```
    #[doc(alias = "RCuBaLIF")]
    pub struct RCuBaLif = "RCuBaLIF" {
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

impl Rif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> Rif {
        Rif::with_defaults(hidden_shape.into())
    }
}

impl Rlif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> Rlif {
        Rlif::with_defaults(hidden_shape.into())
    }
}

impl RCuBaLif {
    /// Neurons with Spyx's defaults: threshold 1, superspike.
    pub fn new(hidden_shape: impl Into<Vec<usize>>) -> RCuBaLif {
        RCuBaLif::with_defaults(hidden_shape.into())
    }
}

/// The name of the weights.
const RECURRENT: &str = "recurrent_w";

/// Weights from each neuron to each.
fn recurrent_parameter(shape: &[usize]) -> Parameter {
    Parameter::new(RECURRENT, [shape, shape].concat(), Init::TruncatedNormal(0.01))
}

/// What the layer's own spikes add to its input: all axes of a sample against the first half of the weights'. (Spyx's
/// matrix product means this for layers of one axis, and something else for layers of more.)
#[track_caller]
fn feedback(at: &Step<'_>, spikes: &Tensor) -> Tensor {
    let axes = spikes.rank().saturating_sub(1);
    let dims = DotDims { lhs_contract: (1..=axes).collect(), rhs_contract: (0..axes).collect(), ..DotDims::default() };
    spikes.dot_general(&at.parameter(RECURRENT), &dims, spikes.dtype())
}

impl Layer for Rif {
    described_neuron!();
    fn parameters(&self) -> Vec<Parameter> {
        vec![recurrent_parameter(&self.hidden_shape)]
    }
    fn synapses(&self) -> Option<Synapses> {
        Some(Synapses::OfOwnSpikes(RECURRENT))
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.hidden_shape.as_slice())]
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let v = at.state("potential");
        let spikes = self.activation.spike(&(&v - self.threshold));
        let v = v + x + feedback(at, &spikes) - &spikes * self.threshold;
        at.set_state("potential", v);
        spikes
    }
}

impl Layer for Rlif {
    described_neuron!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("beta", self.beta)])
    }
    fn parameters(&self) -> Vec<Parameter> {
        let beta = decay_parameter("beta", self.beta, &self.hidden_shape);
        vec![recurrent_parameter(&self.hidden_shape), beta]
    }
    fn synapses(&self) -> Option<Synapses> {
        Some(Synapses::OfOwnSpikes(RECURRENT))
    }
    fn states(&self) -> Vec<State> {
        vec![State::new("potential", self.hidden_shape.as_slice())]
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (beta, v) = (decay(at, "beta"), at.state("potential"));
        let spikes = self.activation.spike(&(&v - self.threshold));
        let v = beta * v + x + feedback(at, &spikes) - &spikes * self.threshold;
        at.set_state("potential", v);
        spikes
    }
}

impl Layer for RCuBaLif {
    described_neuron!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("alpha", self.alpha), ("beta", self.beta)])
    }
    fn parameters(&self) -> Vec<Parameter> {
        let [alpha, beta] = [("alpha", self.alpha), ("beta", self.beta)]
            .map(|(name, value)| decay_parameter(name, value, &self.hidden_shape));
        vec![recurrent_parameter(&self.hidden_shape), alpha, beta]
    }
    fn synapses(&self) -> Option<Synapses> {
        Some(Synapses::OfOwnSpikes(RECURRENT))
    }
    fn states(&self) -> Vec<State> {
        ["potential", "current"].map(|name| State::new(name, self.hidden_shape.as_slice())).to_vec()
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (alpha, beta) = (decay(at, "alpha"), decay(at, "beta"));
        let v = at.state("potential");
        let spikes = self.activation.spike(&(&v - self.threshold));
        let v = v - &spikes * self.threshold;
        let current = alpha * at.state("current") + x + feedback(at, &spikes);
        at.set_state("potential", beta * v + &current);
        at.set_state("current", current);
        spikes
    }
}
