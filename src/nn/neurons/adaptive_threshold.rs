//! The adaptive LIF neuron, whose threshold rises with its own spikes.

use spiq_hlo::Tensor;

use super::decay::{check_decays, decay_of, decay_parameter};
use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::Parameter;

neuron! {
    /// Adaptive LIF neurons: `θ = threshold + T`, `s = H(V - θ)`, then `V ← beta V + x - s θ` and
    /// `T ← gamma T + (1 - gamma) s`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` and `adaptation` (T) likewise;
    /// parameters `beta` and `gamma` [hidden_shape…], or scalars where values are given. Units: beta and gamma are the fraction
    /// left after one time step, clipped to [0, 1] when used. Source: Bellec et al. 2018, arXiv:1803.09574; `spyx.nn.ALIF`.
    ///
    /// ```
    /// use spiq::nn::{Alif, Layer};
    /// let layer = Alif { gamma: Some(0.9), ..Alif::new([64]) };
    /// assert_eq!(layer.parameters().iter().map(|p| p.dims.len()).collect::<Vec<_>>(), [1, 0]);
    /// ```
    #[doc(alias = "ALIF")]
    pub struct Alif = "ALIF" {
        /// A single decay of the potential for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        beta: Option<f64> = None,
        /// A single decay of the adaptation for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        gamma: Option<f64> = None,
        /// Whether the input is scaled by `1 - beta`, so that a constant input is the limit of the potential.
        decay_input: bool = false,
    }
    defaults { fires Before, reset Subtract, detached false, surrogate Surrogate::default() }
}

impl Neuron for Alif {
    const STATES: &'static [&'static str] = &["potential", "adaptation"];
    fn shared(&self) -> Shared<'_> {
        self.taken_by_all()
    }
    fn own_check(&self) -> Result<(), (&'static str, String)> {
        check_decays(&[("beta", self.beta), ("gamma", self.gamma)])
    }
    fn own_parameters(&self) -> Vec<Parameter> {
        let (beta, gamma) = (("beta", self.beta), ("gamma", self.gamma));
        [beta, gamma].map(|(name, value)| decay_parameter(name, value, &self.hidden_shape)).to_vec()
    }
    #[track_caller]
    fn level(&self, threshold: Tensor, states: &[Tensor]) -> Tensor {
        threshold + &states[1]
    }
    #[track_caller]
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
        let (beta, gamma) = (decay_of(now, "beta"), decay_of(now, "gamma"));
        let v = now.leaked(Some(&beta), self.decay_input);
        vec![v, &gamma * &now.states[1] + (1.0 - &gamma) * &now.spikes]
    }
}
