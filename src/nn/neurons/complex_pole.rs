//! Neurons whose potential is the real part of a complex number that rotates and decays at each step.

use std::f64::consts::PI;

use spiq_hlo::Tensor;

use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::{Init, Parameter};

neuron! {
    /// Complex-valued SSM-inspired LIF neurons: with complex u, `u ← alpha (u - s threshold / 2) + b x` and
    /// `s = H(2 Re u - threshold)`, where `alpha = exp((-exp(log_log_alpha) + i alpha_img) exp(log_dt))`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` (Re u) and `imaginary` (Im u)
    /// likewise; parameters `log_log_alpha` (initially log 0.5), `log_dt` (drawn uniformly between the logarithms of the
    /// arguments), `alpha_img` (initially π) and `b` (drawn from 0 to 1), all [hidden_shape…]. A reset acts on Re u. Source:
    /// Fabre et al. 2025, arXiv:2506.06374, and its code, github.com/Maxtimer97/SSM-inspired-LIF (`CSiLIFLayer`).
    ///
    /// ```
    /// use spiq::nn::{CSiLif, Layer};
    /// let names: Vec<String> = CSiLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["log_dt", "b", "log_log_alpha", "alpha_img"]);
    /// ```
    pub struct CSiLif = "CSiLIF" {
        /// The smallest initial time step, in the units of rate and frequency.
        dt_min: f64 = 0.01,
        /// The largest initial time step.
        dt_max: f64 = 0.5,
    }
    defaults { fires After, reset Subtract, detached false, surrogate Surrogate::Boxcar { width: 1.0, height: 1.0 } }
}

neuron! {
    /// Resonate-and-fire neurons as a state-space model: with complex z, `z ← a z + x + i reset` and
    /// `s = H(Re z - threshold)`, where `a = exp(exp(log_dt) (-softplus(raw_lambda) + i omega))`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` (Re z) and `imaginary` (Im z)
    /// likewise; parameters `log_dt` (drawn uniformly between the logarithms of the arguments), `raw_lambda` (so that the decay
    /// rate is initially 1/2), `omega` (initially 0, π, 2π, …) and `reset`, all [hidden_shape…]. Source:
    /// `spyx.experimental.rf_ssm.RFSSM` with its initial poles from HiPPO; Huber et al. 2025, arXiv:2504.00719 (S5-RF), and
    /// arXiv:2410.03530 for the reset, a constant input that depends on no spike. The argument `reset`, in contrast, is a reset
    /// by spikes, and acts on Re z.
    ///
    /// ```
    /// use spiq::nn::{Layer, RfSsm};
    /// let names: Vec<String> = RfSsm::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["log_dt", "raw_lambda", "omega", "reset"]);
    /// ```
    pub struct RfSsm = "RFSSM" {
        /// The smallest initial time step.
        dt_min: f64 = 1e-3,
        /// The largest initial time step.
        dt_max: f64 = 1e-1,
        /// The initial value of the parameter `reset`.
        reset_init: f64 = 0.0,
    }
    defaults { fires After, reset None, detached false, surrogate Surrogate::default() }
}

const STATES: &[&str] = &["potential", "imaginary"];

fn check_steps(low: f64, high: f64) -> Result<(), (&'static str, String)> {
    if low <= 0.0 {
        return Err(("dt_min", format!("is {low}, but must be above 0: a time step")));
    }
    if high < low {
        return Err(("dt_max", format!("is {high}, but must be at least dt_min ({low})")));
    }
    Ok(())
}

fn log_dt(low: f64, high: f64, shape: &[usize]) -> Parameter {
    Parameter::new("log_dt", shape, Init::Uniform(low.ln(), high.ln()))
}

/// Real and imaginary part of u + i v, multiplied by `decay` and rotated by `angle`.
#[track_caller]
fn turned(u: &Tensor, v: &Tensor, decay: &Tensor, angle: &Tensor) -> [Tensor; 2] {
    let (real, imaginary) = (decay * angle.cos(), decay * angle.sin());
    [&real * u - &imaginary * v, &real * v + &imaginary * u]
}

impl Neuron for CSiLif {
    const STATES: &'static [&'static str] = STATES;
    const HELD: usize = 2;
    fn shared(&self) -> Shared<'_> {
        self.taken_by_all()
    }
    fn own_check(&self) -> Result<(), (&'static str, String)> {
        check_steps(self.dt_min, self.dt_max)
    }
    fn own_parameters(&self) -> Vec<Parameter> {
        let shape = self.hidden_shape.as_slice();
        vec![
            log_dt(self.dt_min, self.dt_max, shape),
            Parameter::new("b", shape, Init::Uniform(0.0, 1.0)),
            Parameter::new("log_log_alpha", shape, Init::Constant(0.5f64.ln())),
            Parameter::new("alpha_img", shape, Init::Constant(PI)),
        ]
    }
    #[track_caller]
    fn above(&self, level: &Tensor, states: &[Tensor]) -> Tensor {
        2.0 * &states[0] - level
    }
    #[track_caller]
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
        let dt = now.parameter("log_dt").exp();
        let decay = (-(now.parameter("log_log_alpha").exp() * &dt)).exp();
        let angle = now.parameter("alpha_img") * &dt;
        let u = now.after_reset(&now.states[0], Some(0.5));
        let [u, v] = turned(&u, &now.states[1], &decay, &angle);
        vec![u + now.parameter("b") * now.input(), v]
    }
}

impl Neuron for RfSsm {
    const STATES: &'static [&'static str] = STATES;
    const HELD: usize = 2;
    fn shared(&self) -> Shared<'_> {
        self.taken_by_all()
    }
    fn own_check(&self) -> Result<(), (&'static str, String)> {
        check_steps(self.dt_min, self.dt_max)
    }
    fn own_parameters(&self) -> Vec<Parameter> {
        let shape = self.hidden_shape.as_slice();
        vec![
            log_dt(self.dt_min, self.dt_max, shape),
            Parameter::new("raw_lambda", shape, Init::Constant(0.5f64.exp_m1().ln())),
            Parameter::new("omega", shape, Init::Multiples(PI)),
            Parameter::new("reset", shape, Init::Constant(self.reset_init)),
        ]
    }
    #[track_caller]
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
        let (dt, raw) = (now.parameter("log_dt").exp(), now.parameter("raw_lambda"));
        // softplus
        let rate = raw.maximum(0.0) + (-raw.abs()).exp().log1p();
        let (decay, angle) = ((-(&dt * rate)).exp(), dt * now.parameter("omega"));
        let u = now.after_reset(&now.states[0], None);
        let [u, v] = turned(&u, &now.states[1], &decay, &angle);
        vec![now.input_onto(u), v + now.parameter("reset")]
    }
}
