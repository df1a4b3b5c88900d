//! Neurons with a second variable that inhibits the potential: the adaptive LIF neuron and its variants.

use spiq_hlo::Tensor;

use super::decay::Ranged;
use super::neuron::{Moment, Neuron, Shared, neuron};
use super::surrogate::Surrogate;
use crate::nn::parameter::{Init, Parameter};

/// The surrogate of sparch: a rectangular window.
const WINDOW: Surrogate = Surrogate::Boxcar { width: 1.0, height: 1.0 };

neuron! {
    /// Adaptive LIF neurons with a slow variable driven by potential and spikes: `w ← beta w + a u + b s`, then
    /// `u ← alpha (u - s threshold) + (1 - alpha) (x - w)` and `s = H(u - threshold)`.
    ///
    /// The first two updates use the potential and the spikes of the previous step; the spikes of a step depend on its own
    /// input.
    ///
    /// Shapes: x [B, hidden_shape…] to spikes (0 or 1) of that shape; states `potential` (u) and `adaptation` (w) likewise,
    /// initially zero (sparch draws them); parameters `alpha`, `beta`, `a` and `b` [hidden_shape…], or scalars where values are
    /// given. They are drawn from these ranges and clipped to them when used: alpha from e^(-1/5) to e^(-1/25), beta from
    /// e^(-1/30) to e^(-1/120), a from -1 to 1, b from 0 to 2. Units: alpha and beta are the fraction left after one time step.
    /// Source: Bittar and Garner 2022, doi:10.3389/fnins.2022.865897, and its code, github.com/idiap/sparch; with
    /// `recurrent = true` and `recurrent_init = "orthogonal"` its RadLIF, except that the weights from each neuron to itself
    /// are zero there.
    ///
    /// ```
    /// use spiq::nn::{AdLif, Layer};
    /// let names: Vec<String> = AdLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["alpha", "beta", "a", "b"]);
    /// ```
    #[doc(alias = "RadLIF")]
    pub struct AdLif = "adLIF" {
        /// A single decay of the potential for all neurons; without it, one is drawn for each. Trained in either case, like the next
        /// three.
        alpha: Option<f64> = None,
        /// A single decay of the adaptation for all neurons; without it, one is drawn for each.
        beta: Option<f64> = None,
        /// How much the potential adds to the adaptation.
        a: Option<f64> = None,
        /// How much a spike adds to the adaptation.
        b: Option<f64> = None,
    }
    defaults { fires After, reset Subtract, detached false, surrogate WINDOW }
}

neuron! {
    /// Constrained adaptive LIF neurons: [`AdLif`] with alpha from 0.36 to 0.96, beta from 0.96 to 0.99, a from 0 to 1 and b
    /// from 0 to 2, ranges in which its two variables cannot diverge.
    ///
    /// Source: Deckers et al. 2024, arXiv:2311.16112; the ranges are those in the code of Fabre et al. 2025,
    /// github.com/Maxtimer97/SSM-inspired-LIF.
    ///
    /// ```
    /// use spiq::nn::{CAdLif, Layer};
    /// assert!(CAdLif { a: Some(-0.5), ..CAdLif::new([64]) }.check().is_err());
    /// ```
    pub struct CAdLif = "cAdLIF" {
        /// A single decay of the potential for all neurons; without it, one is drawn for each. Trained in either case, like the next
        /// three.
        alpha: Option<f64> = None,
        /// A single decay of the adaptation for all neurons; without it, one is drawn for each.
        beta: Option<f64> = None,
        /// How much the potential adds to the adaptation.
        a: Option<f64> = None,
        /// How much a spike adds to the adaptation.
        b: Option<f64> = None,
    }
    defaults { fires After, reset Subtract, detached false, surrogate WINDOW }
}

neuron! {
    /// SSM-inspired LIF neurons: [`AdLif`] with the decays of a state-space model that has its own step size,
    /// `exp(-exp(alpha + dt))` and `exp(-exp(beta + dt))`.
    ///
    /// Shapes and states as for [`AdLif`]; parameters `alpha`, `beta`, `dt`, `a` and `b` [hidden_shape…]. alpha and beta are
    /// the logarithms of rates (per second, if dt is in seconds), drawn from log 10 to log 250 and from log 2.5 to log 10; dt
    /// is the logarithm of the time step, initially that of the argument. a is drawn from 0 to 1 and b from 0 to 2, and both
    /// are clipped to these ranges when used. Source: Fabre et al. 2025, arXiv:2506.06374, and its code,
    /// github.com/Maxtimer97/SSM-inspired-LIF (`SiLIFLayer`).
    ///
    /// ```
    /// use spiq::nn::{Layer, SiLif};
    /// let names: Vec<String> = SiLif::new([64]).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["dt", "alpha", "beta", "a", "b"]);
    /// ```
    pub struct SiLif = "SiLIF" {
        /// The initial time step, in seconds. Trained, for each neuron.
        dt: f64 = 0.004,
        /// How much the potential adds to the adaptation: one number for all neurons; without it, one is drawn for each.
        a: Option<f64> = None,
        /// How much a spike adds to the adaptation: one number for all neurons; without it, one is drawn for each.
        b: Option<f64> = None,
    }
    defaults { fires After, reset Subtract, detached false, surrogate WINDOW }
}

const STATES: &[&str] = &["potential", "adaptation"];

/// One step of any of these neurons.
#[track_caller]
fn adapted(now: &Moment<'_, '_>, [alpha, beta, a, b]: [Tensor; 4]) -> Vec<Tensor> {
    let (u, w) = (&now.states[0], &now.states[1]);
    let w = beta * w + a * u + b * &now.spikes;
    let u = &alpha * now.after_reset(u, None) + (1.0 - &alpha) * (now.input() - &w);
    vec![u, w]
}

macro_rules! with_ranges {
    ($($Name:ident { $alpha:expr, $beta:expr, $a:expr, $b:expr })*) => {$(
        impl $Name {
            fn ranges() -> [Ranged; 4] {
                let named = |name, (low, high): (f64, f64)| Ranged { name, low, high };
                [named("alpha", $alpha), named("beta", $beta), named("a", $a), named("b", $b)]
            }

            fn given(&self) -> impl Iterator<Item = (Ranged, Option<f64>)> {
                $Name::ranges().into_iter().zip([self.alpha, self.beta, self.a, self.b])
            }
        }

        impl Neuron for $Name {
            const STATES: &'static [&'static str] = STATES;
            fn shared(&self) -> Shared<'_> {
                self.taken_by_all()
            }
            fn own_check(&self) -> Result<(), (&'static str, String)> {
                self.given().try_for_each(|(range, value)| range.check(value))
            }
            fn own_parameters(&self) -> Vec<Parameter> {
                self.given().map(|(range, value)| range.parameter(value, &self.hidden_shape)).collect()
            }
            #[track_caller]
            fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
                adapted(now, $Name::ranges().map(|range| range.of(now)))
            }
        }
    )*};
}

with_ranges! {
    AdLif {
        ((-1.0 / 5.0f64).exp(), (-1.0 / 25.0f64).exp()),
        ((-1.0 / 30.0f64).exp(), (-1.0 / 120.0f64).exp()),
        (-1.0, 1.0),
        (0.0, 2.0)
    }
    CAdLif { (0.36, 0.96), (0.96, 0.99), (0.0, 1.0), (0.0, 2.0) }
}

const A: Ranged = Ranged::new("a", 0.0, 1.0);
const B: Ranged = Ranged::new("b", 0.0, 2.0);

impl Neuron for SiLif {
    const STATES: &'static [&'static str] = STATES;
    fn shared(&self) -> Shared<'_> {
        self.taken_by_all()
    }
    fn own_check(&self) -> Result<(), (&'static str, String)> {
        if self.dt <= 0.0 {
            return Err(("dt", format!("is {}, but must be above 0: seconds per time step", self.dt)));
        }
        A.check(self.a).and_then(|()| B.check(self.b))
    }
    fn own_parameters(&self) -> Vec<Parameter> {
        let shape = self.hidden_shape.as_slice();
        let log = |name, low: f64, high: f64| Parameter::new(name, shape, Init::Uniform(low.ln(), high.ln()));
        vec![
            Parameter::new("dt", shape, Init::Constant(self.dt.ln())),
            log("alpha", 10.0, 250.0),
            log("beta", 2.5, 10.0),
            A.parameter(self.a, shape),
            B.parameter(self.b, shape),
        ]
    }
    #[track_caller]
    fn advance(&self, now: &Moment<'_, '_>) -> Vec<Tensor> {
        let dt = now.parameter("dt").exp();
        let decay = |name: &str| (-(now.parameter(name).exp() * &dt)).exp();
        adapted(now, [decay("alpha"), decay("beta"), A.of(now), B.of(now)])
    }
}
