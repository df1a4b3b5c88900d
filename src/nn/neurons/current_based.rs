//! The LIF neuron with a synaptic current between input and potential.

use spiq_hlo::Tensor;

use super::decay::{check_decays, decay_of, decay_parameter};
use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::Parameter;

neuron! {
    /// Current-based LIF neurons: `s = H(V - threshold)`, then `I ← alpha I + x` and
    /// `V ← beta (V - s threshold) + I`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` and `current` likewise; parameters
    /// `alpha` and `beta` [hidden_shape…], or scalars where values are given. Units: alpha and beta are the fraction left after
    /// one time step, clipped to [0, 1] when used. Source: `spyx.nn.CuBaLIF`.
    ///
    /// ```
    /// use spiq::nn::{CuBaLif, Layer};
    /// let names: Vec<String> = CuBaLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["alpha", "beta"]);
    /// ```
    #[doc(alias = "CuBaLIF")]
    pub struct CuBaLif = "CuBaLIF" {
        /// A single decay of the current for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        alpha: Option<f64> = None,
        /// A single decay of the potential for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        beta: Option<f64> = None,
    }
    defaults { fires Before, reset Subtract, detached false, surrogate Surrogate::default() }
}

neuron! {
    /// [`CuBaLif`] with `recurrent = true`: `s = H(V - threshold)`, then `I ← alpha I + x + s · W` and
    /// `V ← beta (V - s threshold) + I`.
    ///
    /// The parameter `recurrent_w` [hidden_shape…, hidden_shape…] holds the weights, from the firing neuron to the receiving
    /// one. Source: `spyx.nn.RCuBaLIF`.
    ///
    /// ```
    /// use spiq::nn::{Layer, RCuBaLif};
    /// let names: Vec<String> = RCuBaLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["recurrent_w", "alpha", "beta"]);
    /// ```
    #[doc(alias = "RCuBaLIF")]
    always recurrent pub struct RCuBaLif = "RCuBaLIF" {
        /// A single decay of the current for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        alpha: Option<f64> = None,
        /// A single decay of the potential for all neurons; without it, one is drawn for each, around 0.5. Trained in either case.
        beta: Option<f64> = None,
    }
    defaults { fires Before, reset Subtract, detached false, surrogate Surrogate::default() }
}

macro_rules! current_based {
    ($($Name:ident)*) => {$(
        impl Neuron for $Name {
            const STATES: &'static [&'static str] = &["potential", "current"];
            fn shared(&self) -> Shared<'_> {
                self.taken_by_all()
            }
            fn own_check(&self) -> Result<(), (&'static str, String)> {
                check_decays(&[("alpha", self.alpha), ("beta", self.beta)])
            }
            fn own_parameters(&self) -> Vec<Parameter> {
                let (alpha, beta) = (("alpha", self.alpha), ("beta", self.beta));
                [alpha, beta].map(|(name, value)| decay_parameter(name, value, &self.hidden_shape)).to_vec()
            }
            #[track_caller]
            fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
                let (alpha, beta) = (decay_of(now, "alpha"), decay_of(now, "beta"));
                let kept = now.after_reset(&now.states[0], None);
                let current = now.input_onto(alpha * &now.states[1]);
                vec![beta * kept + &current, current]
            }
        }
    )*};
}

current_based! { CuBaLif RCuBaLif }
