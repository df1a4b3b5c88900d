//! The adaptive LIF neuron whose two variables are updated one after the other.

use spiq_hlo::Tensor;

use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::{Init, Parameter};

neuron! {
    /// Adaptive LIF neurons discretized by the symplectic Euler method: `u ← alpha u + (1 - alpha) (x - w)`,
    /// `s = H(u - threshold)`, `u ← u (1 - s)`, and with these new values
    /// `w ← beta w + (1 - beta) (a u + b s) q`.
    ///
    /// `symplectic = false` selects the forward Euler method, which computes w from the values of the previous step (EF-adLIF).
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` (u before its reset) and `adaptation`
    /// (the w used for this step's u) likewise; parameters `tau_u`, `tau_w`, `a` and `b` [hidden_shape…]: tau_u and tau_w place
    /// the time constants between their smallest (0) and largest (1) value, a is from 0 to 1 and b from 0 to 2. All are drawn
    /// uniformly, and training keeps them in those ranges. Units: time constants in steps, alpha = e^(-1/tau_u), beta =
    /// e^(-1/tau_w). Source: Baronig et al. 2024, arXiv:2408.07517, and its code, github.com/IGITUGraz/SE-adlif, whose defaults
    /// for SHD are used here. There the neurons are `recurrent`, with `recurrent_init = "orthogonal"`.
    ///
    /// ```
    /// use spiq::nn::{Layer, SeAdLif};
    /// let names: Vec<String> = SeAdLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["tau_u", "tau_w", "a", "b"]);
    /// ```
    #[doc(alias = "EF_adLIF")]
    pub struct SeAdLif = "SE_adLIF" {
        /// The smallest time constant of the potential, in steps.
        tau_u_min: f64 = 5.0,
        /// The largest time constant of the potential, in steps.
        tau_u_max: f64 = 25.0,
        /// The smallest time constant of the adaptation, in steps.
        tau_w_min: f64 = 60.0,
        /// The largest time constant of the adaptation, in steps.
        tau_w_max: f64 = 300.0,
        /// The scale of the adaptation, by which a and b are multiplied.
        q: f64 = 120.0,
        /// Whether the adaptation uses the new potential and spikes instead of those of the previous step.
        symplectic: bool = true,
    }
    defaults { fires After, reset Zero, detached true, surrogate Surrogate::slayer() }
}

/// The parameters and the largest value of each; the smallest is 0.
const RANGES: [(&str, f64); 4] = [("tau_u", 1.0), ("tau_w", 1.0), ("a", 1.0), ("b", 2.0)];

impl Neuron for SeAdLif {
    const STATES: &'static [&'static str] = &["potential", "adaptation"];
    fn shared(&self) -> Shared<'_> {
        self.taken_by_all()
    }
    fn own_check(&self) -> Result<(), (&'static str, String)> {
        let pairs = [
            ("tau_u_min", self.tau_u_min, "tau_u_max", self.tau_u_max),
            ("tau_w_min", self.tau_w_min, "tau_w_max", self.tau_w_max),
        ];
        for (least, low, greatest, high) in pairs {
            if low <= 0.0 {
                return Err((least, format!("is {low}, but must be above 0: a time constant in steps")));
            }
            if high < low {
                return Err((greatest, format!("is {high}, but must be at least {least} ({low})")));
            }
        }
        Ok(())
    }
    fn own_parameters(&self) -> Vec<Parameter> {
        let drawn = |(name, high)| {
            Parameter::new(name, self.hidden_shape.as_slice(), Init::Uniform(0.0, high)).within(0.0, high)
        };
        RANGES.map(drawn).to_vec()
    }
    #[track_caller]
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
        let decay = |share: Tensor, low: f64, high: f64| {
            let tau = high * &share + low * (1.0 - &share);
            (-1.0 / tau).exp()
        };
        let alpha = decay(now.parameter("tau_u"), self.tau_u_min, self.tau_u_max);
        let beta = decay(now.parameter("tau_w"), self.tau_w_min, self.tau_w_max);
        let u = now.after_reset(&now.states[0], None);
        let before = &now.states[1];
        let w = &beta * before + (1.0 - &beta) * (now.parameter("a") * &u + now.parameter("b") * &now.spikes) * self.q;
        let heard = if self.symplectic { &w } else { before };
        let u = &alpha * u + (1.0 - &alpha) * (now.input() - heard);
        vec![u, w]
    }
}
