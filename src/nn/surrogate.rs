//! Spikes and the derivatives that stand in for theirs. Knows nothing of neurons.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use spiq_hlo::{Tensor, custom_vjp};

/// The derivative of a spike by the distance from the threshold, a function of a tensor.
type Derivative = Arc<dyn Fn(&Tensor) -> Tensor + Send + Sync>;

/// A step (1 above zero, else 0) and the derivative that is used for it on the way back.
///
/// Names, formulas and defaults are those of `spyx.axn`. The functions without arguments give the defaults; other values
/// are written out: `Surrogate::Triangular { k: 0.7 }`.
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
    /// Any function of the distance from the threshold.
    Custom(Derivative),
}

impl Surrogate {
    /// The derivative of the hyperbolic tangent, k 1.
    pub fn tanh() -> Surrogate {
        Surrogate::Tanh { k: 1.0 }
    }

    /// A window, width 2 and height 0.5.
    pub fn boxcar() -> Surrogate {
        Surrogate::Boxcar { width: 2.0, height: 0.5 }
    }

    /// A triangle, k 2.
    pub fn triangular() -> Surrogate {
        Surrogate::Triangular { k: 2.0 }
    }

    /// The derivative of the arc tangent, k 2.
    pub fn arctan() -> Surrogate {
        Surrogate::Arctan { k: 2.0 }
    }

    /// SuperSpike, k 25.
    pub fn superspike() -> Surrogate {
        Surrogate::Superspike { k: 25.0 }
    }

    /// A derivative of your own, of the shape of its argument.
    pub fn custom(derivative: impl Fn(&Tensor) -> Tensor + Send + Sync + 'static) -> Surrogate {
        Surrogate::Custom(Arc::new(derivative))
    }

    /// 1 where `x` is above zero, else 0, in `x`'s element type; differentiated as [`derivative`](Surrogate::derivative) says.
    #[track_caller]
    pub fn spike(&self, x: &Tensor) -> Tensor {
        custom_vjp("spike", x, heaviside, |x: &Tensor, _: &Tensor, ct: &Tensor| ct * self.derivative(x))
    }

    /// What is used for the derivative at `x`.
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

impl fmt::Debug for Surrogate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Surrogate::Tanh { k } => write!(f, "tanh(k {k})"),
            Surrogate::Boxcar { width, height } => write!(f, "boxcar(width {width}, height {height})"),
            Surrogate::Triangular { k } => write!(f, "triangular(k {k})"),
            Surrogate::Arctan { k } => write!(f, "arctan(k {k})"),
            Surrogate::Superspike { k } => write!(f, "superspike(k {k})"),
            Surrogate::Custom(_) => f.write_str("custom"),
        }
    }
}
