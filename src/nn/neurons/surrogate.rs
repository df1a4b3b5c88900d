//! Spikes and their surrogate derivatives.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use spiq_hlo::{Tensor, custom_vjp};
use toml::de::DeValue;
use toml::{Table, Value};

use crate::error::Result;
use crate::fields::{Field, Fields, Section};
use crate::nn::arguments::Argument;

/// The derivative of a spike with respect to the distance from the threshold, as a function of a tensor.
type Derivative = Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>;

/// A step function (1 above zero, else 0) and the derivative used for it in the backward pass.
///
/// Names, formulas and defaults are those of `spyx.axn` unless another source is named. The functions without arguments give
/// the defaults; other values are written out: `Surrogate::Triangular { k: 0.7 }`.
///
/// ```
/// use spiq::nn::Surrogate;
/// use spiq_hlo::{DType, TensorType, grad, trace};
/// let straight_through = Surrogate::custom(|v| v.full_like(1.0));
/// trace(&[("v", TensorType::new(DType::F32, [4]))], |x| vec![grad(&x[0], |v| straight_through.spike(v).sum())])?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Surrogate {
    /// `4 / (e^-kx + e^kx)²`, the derivative of the hyperbolic tangent.
    Tanh {
        /// Slope.
        k: f64,
    },
    /// A constant where `|x| < width / 2`.
    Boxcar {
        /// Width of the window.
        width: f64,
        /// Value in the window.
        height: f64,
    },
    /// `max(0, 1 - |kx|)`. Source: Esser et al. 2016, arXiv:1603.08270.
    Triangular {
        /// Slope.
        k: f64,
    },
    /// `1 / ((1 + (kπx)²) π)`, the derivative of the arc tangent.
    Arctan {
        /// Slope.
        k: f64,
    },
    /// `1 / (1 + k|x|)²`. Source: Zenke and Ganguli 2018, SuperSpike.
    Superspike {
        /// Slope.
        k: f64,
    },
    /// `alpha / 2 / (1 + (π alpha x / 2)²)`, with a peak of alpha / 2. Source: `snntorch.surrogate.atan`, SpikingJelly's
    /// `ATan`.
    Atan {
        /// Slope, and twice the peak.
        alpha: f64,
    },
    /// `c alpha / (2 e^(alpha |x|))`. Source: Shrestha and Orchard 2018, SLAYER, as in the code of Baronig et al. 2024.
    Slayer {
        /// Slope.
        alpha: f64,
        /// Height, in units of alpha / 2.
        c: f64,
    },
    /// `gamma ((1 + p) N(x; 0, sigma) - 2 p N(x; 0, scale sigma))`, with the normal density N: negative far from the threshold.
    /// Source: the code of Higuchi et al. 2024 (`StepDoubleGaussianGrad`), after Yin et al. 2021.
    DoubleGaussian {
        /// Standard deviation of the inner density.
        sigma: f64,
        /// Width of the outer density relative to the inner one.
        scale: f64,
        /// Weight of the outer density.
        p: f64,
        /// Overall height.
        gamma: f64,
    },
    /// Any function of the distance from the threshold.
    Custom(Derivative),
}

impl Surrogate {
    /// The derivative of the hyperbolic tangent, k = 1.
    pub fn tanh() -> Surrogate {
        Surrogate::Tanh { k: 1.0 }
    }

    /// A window of width 2 and height 0.5.
    pub fn boxcar() -> Surrogate {
        Surrogate::Boxcar { width: 2.0, height: 0.5 }
    }

    /// A triangle, k = 2.
    pub fn triangular() -> Surrogate {
        Surrogate::Triangular { k: 2.0 }
    }

    /// The derivative of the arc tangent, k = 2.
    pub fn arctan() -> Surrogate {
        Surrogate::Arctan { k: 2.0 }
    }

    /// SuperSpike, k = 25.
    pub fn superspike() -> Surrogate {
        Surrogate::Superspike { k: 25.0 }
    }

    /// The arc tangent of snnTorch and SpikingJelly, alpha = 2.
    pub fn atan() -> Surrogate {
        Surrogate::Atan { alpha: 2.0 }
    }

    /// SLAYER, alpha = 5 and c = 0.4.
    pub fn slayer() -> Surrogate {
        Surrogate::Slayer { alpha: 5.0, c: 0.4 }
    }

    /// Two Gaussians, sigma = 0.5, scale = 6, p = 0.15 and gamma = 0.5.
    pub fn double_gaussian() -> Surrogate {
        Surrogate::DoubleGaussian { sigma: 0.5, scale: 6.0, p: 0.15, gamma: 0.5 }
    }

    /// A custom derivative, which returns the shape of its argument.
    pub fn custom(derivative: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Surrogate {
        Surrogate::Custom(Arc::new(derivative))
    }

    /// The surrogate of this name in a file, with its defaults.
    fn named(name: &str) -> Option<Surrogate> {
        let known = Surrogate::KNOWN.map(|known| known());
        known.into_iter().find(|surrogate| surrogate.name() == name)
    }

    const KNOWN: [fn() -> Surrogate; 8] = [
        Surrogate::tanh,
        Surrogate::boxcar,
        Surrogate::triangular,
        Surrogate::arctan,
        Surrogate::superspike,
        Surrogate::atan,
        Surrogate::slayer,
        Surrogate::double_gaussian,
    ];

    fn name(&self) -> &'static str {
        match self {
            Surrogate::Tanh { .. } => "tanh",
            Surrogate::Boxcar { .. } => "boxcar",
            Surrogate::Triangular { .. } => "triangular",
            Surrogate::Arctan { .. } => "arctan",
            Surrogate::Superspike { .. } => "superspike",
            Surrogate::Atan { .. } => "atan",
            Surrogate::Slayer { .. } => "slayer",
            Surrogate::DoubleGaussian { .. } => "double_gaussian",
            Surrogate::Custom(_) => "custom",
        }
    }

    /// A description in one line.
    fn about(&self) -> &'static str {
        match self {
            Surrogate::Tanh { .. } => "The derivative of the hyperbolic tangent.",
            Surrogate::Boxcar { .. } => "A constant `height` in a window of `width` around the threshold.",
            Surrogate::Triangular { .. } => "A triangle of slope `k` and height 1.",
            Surrogate::Arctan { .. } => "The derivative of the arc tangent, of slope `k`.",
            Surrogate::Superspike { .. } => "SuperSpike: `1 / (1 + k|x|)²`.",
            Surrogate::Atan { .. } => "The arc tangent of snnTorch and SpikingJelly, with a peak of `alpha` / 2.",
            Surrogate::Slayer { .. } => "SLAYER: exponential on both sides, with a peak of `c` `alpha` / 2.",
            Surrogate::DoubleGaussian { .. } => "The difference of two Gaussians, negative far from the threshold.",
            Surrogate::Custom(_) => "A function in Rust.",
        }
    }

    /// The surrogates of a file and their arguments.
    pub(crate) fn sections() -> Vec<Section> {
        let section = |known: fn() -> Surrogate| {
            let mut surrogate = known();
            let numbers = surrogate
                .numbers()
                .into_iter()
                .map(|(key, number)| [key.to_owned(), format!("number = {number:?}"), String::new()]);
            let rows: Vec<[String; 3]> = numbers.collect();
            Section::of_rows(&format!("activation = {{ type = \"{}\" }}", surrogate.name()), surrogate.about(), rows)
        };
        Surrogate::KNOWN.map(section).into()
    }

    /// The numeric arguments by name.
    fn numbers(&mut self) -> Vec<(&'static str, &mut f64)> {
        match self {
            Surrogate::Boxcar { width, height } => vec![("width", width), ("height", height)],
            Surrogate::Tanh { k } | Surrogate::Triangular { k } | Surrogate::Arctan { k } => vec![("k", k)],
            Surrogate::Superspike { k } => vec![("k", k)],
            Surrogate::Atan { alpha } => vec![("alpha", alpha)],
            Surrogate::Slayer { alpha, c } => vec![("alpha", alpha), ("c", c)],
            Surrogate::DoubleGaussian { sigma, scale, p, gamma } => {
                vec![("sigma", sigma), ("scale", scale), ("p", p), ("gamma", gamma)]
            }
            Surrogate::Custom(_) => Vec::new(),
        }
    }

    /// 1 where `x` is above zero, else 0, in `x`'s dtype; differentiated by [`derivative`](Surrogate::derivative).
    #[track_caller]
    pub fn spike(&self, x: &Tensor) -> Tensor {
        custom_vjp("spike", x, heaviside, |x: &Tensor, _: &Tensor, ct: &Tensor| ct * self.derivative(x))
    }

    /// The surrogate derivative at `x`.
    #[track_caller]
    pub fn derivative(&self, x: &Tensor) -> Tensor {
        match *self {
            Surrogate::Tanh { k } => {
                let kx = k * x;
                4.0 / square((-&kx).exp() + kx.exp())
            }
            Surrogate::Boxcar { width, height } => height * heaviside(&-(x.abs() - width / 2.0)),
            Surrogate::Triangular { k } => (1.0 - (k * x).abs()).maximum(0.0),
            Surrogate::Arctan { k } => 1.0 / ((1.0 + square(k * PI * x)) * PI),
            Surrogate::Superspike { k } => 1.0 / square(1.0 + k * x.abs()),
            Surrogate::Atan { alpha } => alpha / 2.0 / (1.0 + square(PI / 2.0 * alpha * x)),
            Surrogate::Slayer { alpha, c } => c * alpha / (2.0 * (x.abs() * alpha).exp()),
            Surrogate::DoubleGaussian { sigma, scale, p, gamma } => {
                let density =
                    |sigma: f64| 1.0 / (sigma * (2.0 * PI).sqrt()) * (-square(x.clone()) / (2.0 * sigma * sigma)).exp();
                gamma * ((1.0 + p) * density(sigma) - 2.0 * p * density(scale * sigma))
            }
            Surrogate::Custom(ref derivative) => derivative(x),
        }
    }
}

impl Default for Surrogate {
    /// Spyx's: [`superspike`](Surrogate::superspike).
    fn default() -> Surrogate {
        Surrogate::superspike()
    }
}

#[track_caller]
fn heaviside(x: &Tensor) -> Tensor {
    x.gt(0.0).convert(x.dtype())
}

#[track_caller]
fn square(x: Tensor) -> Tensor {
    &x * &x
}

/// Custom surrogates equal only themselves.
impl PartialEq for Surrogate {
    fn eq(&self, other: &Surrogate) -> bool {
        match (self, other) {
            (Surrogate::Custom(one), Surrogate::Custom(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.name() == other.name() && one.clone().numbers() == other.clone().numbers(),
        }
    }
}

/// In a file: `{ type = "triangular", k = 2.0 }`.
impl Field for Surrogate {
    const WHAT: &'static str = "a table";
    const KIND: &'static str = "surrogate";
    fn read(_: &DeValue<'_>) -> Option<Surrogate> {
        None
    }
    fn find(fields: &Fields<'_>, key: &str) -> Result<Option<Surrogate>> {
        let what = format!("the {key} of {}", fields.what());
        let mut known = Surrogate::KNOWN.map(|known| known());
        let numbers = known.iter_mut().flat_map(|known| known.numbers()).map(|(key, _)| key);
        let every: Vec<&str> = std::iter::once("type").chain(numbers).collect();
        let Some(table) = fields.table(key, &what, &every)? else { return Ok(None) };
        let name: String = table.require("type")?;
        let Some(mut surrogate) = Surrogate::named(&name) else {
            let names = Surrogate::KNOWN.map(|known| known().name()).join(", ");
            return Err(table.value_error("type", format!("is {name:?}, but must be one of {names}")));
        };
        let mut numbers = surrogate.numbers();
        let known: Vec<&str> = std::iter::once("type").chain(numbers.iter().map(|(key, _)| *key)).collect();
        let table = fields.table(key, &format!("{what} ({name})"), &known)?.expect("it was there before");
        for (key, number) in &mut numbers {
            **number = table.get(key)?.unwrap_or(**number);
        }
        Ok(Some(surrogate))
    }
}

impl Argument for Surrogate {
    /// `None` for a custom surrogate: a function cannot be written to a file.
    fn write(&self) -> Option<Value> {
        if matches!(self, Surrogate::Custom(_)) {
            return None;
        }
        let mut surrogate = self.clone();
        let numbers = surrogate.numbers().into_iter().map(|(key, number)| (key.to_owned(), Value::Float(*number)));
        let name = ("type".to_owned(), Value::String(self.name().to_owned()));
        Some(Value::Table(std::iter::once(name).chain(numbers).collect::<Table>()))
    }
}

impl fmt::Debug for Surrogate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut surrogate = self.clone();
        let shown: Vec<String> = surrogate.numbers().iter().map(|(key, number)| format!("{key} {number}")).collect();
        if shown.is_empty() { Ok(()) } else { write!(f, "({})", shown.join(", ")) }
    }
}
