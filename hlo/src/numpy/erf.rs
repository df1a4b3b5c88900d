//! The error function and its complement, by the approximations that XLA uses.

use std::f64::consts::FRAC_2_SQRT_PI;

use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;
use crate::ops::gradient::custom_vjp;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;

/// erf of f32 is ±1 from this magnitude on.
pub const ERF_CLAMP: f32 = 3.743_921_3;
/// Numerator of erf of f32 in powers of x², highest first (Eigen's rational approximation, which XLA uses).
#[allow(clippy::approx_constant, reason = "a fitted coefficient, one unit in the last place below 2/√π")]
pub const ERF_NUMERATOR: [f32; 5] = [0.000_229_050_65, 0.003_408_291, 0.050_955_694, 0.185_208_32, 1.128_379_1];
/// Its denominator.
pub const ERF_DENOMINATOR: [f32; 7] =
    [-1.179_160_3e-7, 2.354_796_6e-5, 0.001_017_962_6, 0.014_070_47, 0.110_985_05, 0.497_469_25, 1.0];

/// Polynomials of the argument's square or of a reciprocal, highest power first. Source: S. Moshier's Cephes library, `ndtr.c` (f64) and
/// `ndtrf.c` (f32), as in XLA.
struct Polynomials {
    /// erf(x) / x below 1, in x²: numerator and denominator.
    small: (&'static [f64], &'static [f64]),
    /// erfc(x) e^(x²) x above 1 (f32, in 1/x²) or erfc(x) e^(x²) (f64, in x): up to `bound`, then beyond.
    middle: (&'static [f64], &'static [f64]),
    large: (&'static [f64], &'static [f64]),
    bound: f64,
    /// The least exponent whose exponential is not 0.
    least: f64,
}

const F32: Polynomials = Polynomials {
    small: (
        &[
            7.853861353153693e-5,
            -8.010193625184903e-4,
            5.188327685732524e-3,
            -2.685381193529856e-2,
            1.12835851486141e-1,
            -3.7612625824233e-1,
            1.12837916572671,
        ],
        &[],
    ),
    middle: (
        &[
            2.326819970068386e-2,
            -1.387039388740657e-1,
            3.687424674597105e-1,
            -5.824733027278666e-1,
            6.210004621745983e-1,
            -4.944515323274145e-1,
            3.404879937665872e-1,
            -2.741127028184656e-1,
            5.638259427386472e-1,
        ],
        &[],
    ),
    large: (
        &[
            -1.047766399936249e+1,
            1.297719955372516e+1,
            -7.495518717768503,
            2.921019019210786,
            -1.0152652792027,
            4.218463358204948e-1,
            -2.820767439740514e-1,
            5.641895067754075e-1,
        ],
        &[],
    ),
    bound: 2.0,
    least: -88.722_839_052_068_35,
};

const F64: Polynomials = Polynomials {
    small: (
        &[9.604973739870516, 90.02601972038427, 2232.005345946843, 7003.325141128051, 55592.30130103949],
        &[1.0, 33.56171416475031, 521.3579497801527, 4594.323829709801, 22629.000061389095, 49267.39426086359],
    ),
    middle: (
        &[
            2.461969814735305e-10,
            0.5641895648310689,
            7.463210564422699,
            48.63719709856814,
            196.5208329560771,
            526.4451949954773,
            934.5285271719576,
            1027.5518868951572,
            557.5353353693994,
        ],
        &[
            1.0,
            13.228195115474499,
            86.70721408859897,
            354.9377788878199,
            975.7085017432055,
            1823.9091668790973,
            2246.3376081871097,
            1656.6630919416134,
            557.5353408177277,
        ],
    ),
    large: (
        &[
            0.5641895835477551,
            1.275366707599781,
            5.019050422511805,
            6.160210979930536,
            7.4097426995044895,
            2.9788666537210022,
        ],
        &[
            1.0,
            2.2605286322011726,
            9.396035249380015,
            12.048953980809666,
            17.08144507475659,
            9.608968090632859,
            3.369076451000815,
        ],
    ),
    bound: 8.0,
    least: -709.782712893384,
};

/// A polynomial by Horner's rule, highest power first.
#[track_caller]
fn polynomial(x: &Tensor, coefficients: impl IntoIterator<Item = f64>) -> Tensor {
    let mut sum = None;
    for coefficient in coefficients {
        sum = Some(match sum {
            None => x.full_like(coefficient),
            Some(sum) => sum * x + coefficient,
        });
    }
    sum.expect("at least one coefficient")
}

/// A quotient of polynomials, or one polynomial where there is no denominator.
#[track_caller]
fn quotient(x: &Tensor, (numerator, denominator): (&[f64], &[f64])) -> Tensor {
    let numerator = polynomial(x, numerator.iter().copied());
    match denominator {
        [] => numerator,
        _ => numerator / polynomial(x, denominator.iter().copied()),
    }
}

/// erf of f32 everywhere.
#[track_caller]
fn erf_f32(x: &Tensor) -> Tensor {
    let square = x * x;
    let [numerator, denominator] =
        [&ERF_NUMERATOR[..], &ERF_DENOMINATOR].map(|list| list.iter().map(|value| f64::from(*value)));
    let rational = x * polynomial(&square, numerator) / polynomial(&square, denominator);
    x.abs().ge(ERF_CLAMP).select(&x.sign(), &rational)
}

/// erf below 1.
#[track_caller]
fn erf_small(x: &Tensor, of: &Polynomials) -> Tensor {
    x * quotient(&(x * x), of.small)
}

/// erfc from 1 on.
#[track_caller]
fn erfc_large(x: &Tensor, of: &Polynomials) -> Tensor {
    let magnitude = x.abs();
    let square = x * x;
    let exponent = square.negate();
    let exponential = exponent.exp();
    let near = magnitude.lt(of.bound);
    let tail = if x.dtype() == DType::F64 {
        let [middle, large] = [of.middle, of.large].map(|(numerator, denominator)| {
            &exponential * polynomial(&magnitude, numerator.iter().copied())
                / polynomial(&magnitude, denominator.iter().copied())
        });
        near.select(&middle, &large)
    } else {
        let inverse = 1.0 / &square;
        let [middle, large] = [of.middle, of.large].map(|polynomials| quotient(&inverse, polynomials));
        &exponential * (1.0 / &magnitude) * near.select(&middle, &large)
    };
    let tail = exponent.lt(of.least).select(&tail.zeros_like(), &tail);
    x.lt(0.0).select(&(2.0 - &tail), &tail)
}

/// Neither operand's other branch may matter: both are computed for all elements.
#[track_caller]
fn erfc_of(x: &Tensor, of: &Polynomials) -> Tensor {
    x.abs().lt(1.0).select(&(1.0 - erf_small(x, of)), &erfc_large(x, of))
}

impl Tensor {
    /// The error function `2/√π ∫₀ˣ e^(-t²) dt`. JAX: `lax.erf`.
    ///
    /// Of f32 it has XLA's bits on CPU, of f64 all but the last; narrower types are computed in f32.
    #[track_caller]
    pub fn erf(&self) -> Tensor {
        self.of_normal("erf", false)
    }

    /// `1 - erf(x)`, exact where that is near 0. JAX: `lax.erfc`.
    #[track_caller]
    pub fn erfc(&self) -> Tensor {
        self.of_normal("erfc", true)
    }

    #[track_caller]
    fn of_normal(&self, name: &'static str, complement: bool) -> Tensor {
        match self.dtype() {
            _ if self.is_poison() => self.clone(),
            DType::F32 | DType::F64 => self.with_bell(name, complement),
            dtype if dtype.is_float() => self.convert(DType::F32).with_bell(name, complement).convert(dtype),
            _ => self.fail(name, Violation::new("", format!("of floats, got {}", self.ty()))),
        }
    }

    /// The function with its exact derivative, not that of the approximation: ±2/√π e^(-x²).
    #[track_caller]
    fn with_bell(&self, name: &'static str, complement: bool) -> Tensor {
        let sign = if complement { -1.0 } else { 1.0 };
        let value = move |x: &Tensor| match (x.dtype(), complement) {
            (DType::F32, false) => erf_f32(x),
            (DType::F32, true) => erfc_of(x, &F32),
            (_, false) => x.abs().lt(1.0).select(&erf_small(x, &F64), &(1.0 - erfc_large(x, &F64))),
            (_, true) => erfc_of(x, &F64),
        };
        let slope = move |x: &Tensor, _: &Tensor, ct: &Tensor| ct * ((x * x).negate().exp() * (sign * FRAC_2_SQRT_PI));
        custom_vjp(name, self, value, slope)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let sample = |name: &'static str, function: fn(&Tensor) -> Tensor| {
        Sample::new(name, move |x| vec![function(&x[0])]).input(DType::F64, [9], -3.0, 3.0)
    };
    vec![sample("erf", Tensor::erf), sample("erfc", Tensor::erfc)]
}
