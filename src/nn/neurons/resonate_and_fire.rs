//! Resonate-and-fire neurons: damped oscillators, with each complex number as two real ones.

use spiq_hlo::Tensor;

use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::{Init, Parameter};

neuron! {
    /// Resonate-and-fire neurons without a reset: with z = u + i v, `z ← z + dt ((b + i omega) z + x)` and
    /// `s = H(u - threshold)`, where `b = -|b_offset|`.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` (u) and `imaginary` (v) likewise;
    /// parameters `omega` and `b_offset` [hidden_shape…], drawn uniformly between the arguments. Units: omega in radians per
    /// second and b_offset in 1 per second, dt in seconds. A reset acts on u alone. Source: Izhikevich 2001,
    /// doi:10.1016/S0893-6080(01)00078-8; this form: Higuchi et al. 2024, arXiv:2402.14603, and its code,
    /// github.com/AdaptiveAILab/brf-neurons (`RFCell`), where neurons are `recurrent`.
    ///
    /// ```
    /// use spiq::nn::{Layer, Rf};
    /// let names: Vec<String> = Rf::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["omega", "b_offset"]);
    /// ```
    pub struct Rf = "RF" {
        /// Seconds per time step.
        dt: f64 = 0.01,
        /// The smallest initial omega.
        omega_min: f64 = 5.0,
        /// The largest initial omega.
        omega_max: f64 = 10.0,
        /// The smallest initial b_offset.
        b_min: f64 = 0.0,
        /// The largest initial b_offset.
        b_max: f64 = 3.0,
    }
    defaults { fires After, reset None, detached false, surrogate Surrogate::double_gaussian() }
}

neuron! {
    /// Balanced resonate-and-fire neurons: with z = u + i v, `z ← z + dt ((b + i omega) z + x)` and `s = H(u - threshold - q)`,
    /// then `q ← 0.9 q + s`: spikes raise the threshold and the damping `b = (-1 + √(1 - (dt omega)²)) / dt - |b_offset| - q`,
    /// whose first term is the boundary where oscillations neither grow nor decay.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` (u), `imaginary` (v) and `q` (without
    /// the spikes of the last step) likewise; parameters `omega`, below 1 / dt in magnitude, and `b_offset` [hidden_shape…],
    /// drawn uniformly between the arguments. Units: omega in radians per second and b_offset in 1 per second, dt in seconds.
    /// There is no reset by default; one that is chosen acts on u alone. Source: Higuchi et al. 2024, arXiv:2402.14603, and its
    /// code, github.com/AdaptiveAILab/brf-neurons (`BRFCell`), where neurons are `recurrent` and the first term of b is always
    /// that for dt 0.01.
    ///
    /// ```
    /// use spiq::nn::{Brf, Layer};
    /// assert_eq!(Brf::new([64]).states().len(), 3);
    /// ```
    pub struct Brf = "BRF" {
        /// Seconds per time step.
        dt: f64 = 0.01,
        /// The smallest initial omega.
        omega_min: f64 = 5.0,
        /// The largest initial omega.
        omega_max: f64 = 10.0,
        /// The smallest initial b_offset.
        b_min: f64 = 0.0,
        /// The largest initial b_offset.
        b_max: f64 = 3.0,
    }
    defaults { fires After, reset None, detached false, surrogate Surrogate::double_gaussian() }
}

/// One Euler step of an oscillator: the next u and v.
#[track_caller]
fn oscillated(now: &Moment<'_, '_>, b: &Tensor, omega: &Tensor, dt: f64) -> [Tensor; 2] {
    let (u, v) = (now.after_reset(&now.states[0], None), &now.states[1]);
    let next = &u + b * &u * dt - omega * v * dt + now.input() * dt;
    [next, v + omega * &u * dt + b * v * dt]
}

macro_rules! oscillators {
    ($($Name:ident)*) => {$(
        impl $Name {
            fn check_ranges(&self) -> Result<(), (&'static str, String)> {
                if self.dt <= 0.0 {
                    return Err(("dt", format!("is {}, but must be above 0: seconds per time step", self.dt)));
                }
                if self.omega_max < self.omega_min {
                    let reason = format!("is {}, but must be at least omega_min ({})", self.omega_max, self.omega_min);
                    return Err(("omega_max", reason));
                }
                if self.b_max < self.b_min {
                    let reason = format!("is {}, but must be at least b_min ({})", self.b_max, self.b_min);
                    return Err(("b_max", reason));
                }
                Ok(())
            }

            fn drawn(&self) -> Vec<Parameter> {
                let between = |name, low, high| {
                    Parameter::new(name, self.hidden_shape.as_slice(), Init::Uniform(low, high))
                };
                vec![between("omega", self.omega_min, self.omega_max), between("b_offset", self.b_min, self.b_max)]
            }
        }
    )*};
}

oscillators! { Rf Brf }

impl Neuron for Rf {
    const STATES: &'static [&'static str] = &["potential", "imaginary"];
    const HELD: usize = 2;
    fn shared(&self) -> Shared<'_> {
        self.taken_by_all()
    }
    fn own_check(&self) -> Result<(), (&'static str, String)> {
        self.check_ranges()
    }
    fn own_parameters(&self) -> Vec<Parameter> {
        self.drawn()
    }
    #[track_caller]
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
        let (omega, b) = (now.parameter("omega").abs(), -now.parameter("b_offset").abs());
        oscillated(now, &b, &omega, self.dt).to_vec()
    }
}

/// The largest omega in use, as a fraction of 1 / dt, so that the root has a derivative.
const LARGEST_OMEGA: f64 = 0.999;

impl Neuron for Brf {
    const STATES: &'static [&'static str] = &["potential", "imaginary", "q"];
    const HELD: usize = 2;
    fn shared(&self) -> Shared<'_> {
        self.taken_by_all()
    }
    fn own_check(&self) -> Result<(), (&'static str, String)> {
        self.check_ranges()?;
        let largest = self.omega_max.abs().max(self.omega_min.abs());
        if largest >= LARGEST_OMEGA / self.dt {
            let reason = format!("is {}, so omega must be below {} in magnitude", self.dt, LARGEST_OMEGA / self.dt);
            return Err(("dt", reason));
        }
        Ok(())
    }
    fn own_parameters(&self) -> Vec<Parameter> {
        self.drawn()
    }
    #[track_caller]
    fn above(&self, level: &Tensor, states: &[Tensor]) -> Tensor {
        &states[0] - level - &states[2]
    }
    #[track_caller]
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
        let q = &now.states[2] * 0.9 + &now.spikes;
        let omega = now.parameter("omega").abs().minimum(LARGEST_OMEGA / self.dt);
        let turned = self.dt * &omega;
        let boundary = (-1.0 + (1.0 - &turned * &turned).sqrt()) / self.dt;
        let b = boundary - now.parameter("b_offset").abs() - &q;
        let [u, v] = oscillated(now, &b, &omega, self.dt);
        vec![u, v, q]
    }
}
