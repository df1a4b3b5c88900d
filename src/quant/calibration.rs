//! From a tensor's values to the range that is represented: absmax, minmax, rms, fixed. Knows nothing of operations.

use spiq_hlo::Tensor;

use super::qtype::QType;
use crate::error::{Error, Result};

/// How the represented range follows from the values (`qwix` calibration methods, with their arguments).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// `absmax[,k]`: symmetric, k · max |x|.
    Absmax(f64),
    /// `minmax[,k]`: k · (min(x, 0), max(x, 0)), with a zero point.
    Minmax(f64),
    /// `rms,k`: symmetric, k · sqrt(mean x²).
    Rms(f64),
    /// `fixed,a[,b]`: (-a, a) or (a, b), one for the whole tensor.
    Fixed(f64, f64),
}

impl Method {
    /// Reads `absmax`, `absmax,0.9`, `fixed,-1,2`, ….
    ///
    /// # Errors
    /// Of kind `Input`: an unknown method, a wrong number of arguments, a range without 0.
    pub fn parse(text: &str) -> Result<Method> {
        let wrong = |why: &str| Error::input(format!("calibration method `{text}`: {why}"));
        let lower = text.to_lowercase();
        let mut parts = lower.split(',').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let numbers: Option<Vec<f64>> = parts.map(|p| p.parse().ok().filter(|v: &f64| v.is_finite())).collect();
        let numbers = numbers.ok_or_else(|| wrong("its arguments must be numbers, as in `absmax,0.9`"))?;
        match (name, numbers.as_slice()) {
            ("absmax", []) => Ok(Method::Absmax(1.0)),
            ("absmax", [k]) => Ok(Method::Absmax(*k)),
            ("minmax", []) => Ok(Method::Minmax(1.0)),
            ("minmax", [k]) => Ok(Method::Minmax(*k)),
            ("rms", [k]) => Ok(Method::Rms(*k)),
            ("rms", _) => Err(wrong("wants a factor, as in `rms,7`")),
            ("fixed", [a]) if *a > 0.0 => Ok(Method::Fixed(-a, *a)),
            ("fixed", [a, b]) if *a <= 0.0 && *b >= 0.0 && a < b => Ok(Method::Fixed(*a, *b)),
            ("fixed", _) => Err(wrong("wants a range that contains 0, as in `fixed,1` or `fixed,-1,2`")),
            ("absmax" | "minmax", _) => Err(wrong("takes at most one factor")),
            _ => Err(wrong("unknown (known: absmax, minmax, rms, fixed)")),
        }
    }

    /// Whether values can lie outside the range, so that gradients are cut there.
    pub(crate) fn clips(self) -> bool {
        match self {
            Method::Absmax(k) | Method::Minmax(k) => k < 1.0,
            Method::Rms(_) | Method::Fixed(..) => true,
        }
    }

    /// Whether the range is shifted by a zero point.
    pub(crate) fn is_asymmetric(self) -> bool {
        match self {
            Method::Minmax(_) => true,
            Method::Fixed(a, b) => a + b != 0.0,
            Method::Absmax(_) | Method::Rms(_) => false,
        }
    }
}

/// The represented range of each scale; tensors of the scale's shape.
#[derive(Clone, Debug)]
pub(crate) enum Range {
    /// From minus this to this.
    Symmetric(Tensor),
    /// From the first to the second; contains 0.
    Asymmetric(Tensor, Tensor),
}

impl Range {
    /// The range of `x`, reduced over `axes`, given the shape that scales have.
    pub(crate) fn of(x: &Tensor, axes: &[usize], scale_dims: &[usize], method: Method) -> Range {
        let times = |t: Tensor, k: f64| if k == 1.0 { t } else { t * k };
        let shaped = |t: Tensor| t.reshape(scale_dims);
        match method {
            Method::Absmax(k) => Range::Symmetric(shaped(times(x.reduce_absmax(axes), k))),
            Method::Rms(k) => Range::Symmetric(shaped((x * x).reduce_mean(axes).sqrt() * k)),
            Method::Minmax(k) => {
                let (low, high) = (x.reduce_min(axes).minimum(0.0), x.reduce_max(axes).maximum(0.0));
                Range::Asymmetric(shaped(times(low, k)), shaped(times(high, k)))
            }
            Method::Fixed(a, b) => {
                // One range for the whole tensor, whatever the channels.
                let ones = vec![1; scale_dims.len()];
                let full = |v: f64| x.graph().full(x.ty().with_dims(ones.clone()), v);
                if a + b == 0.0 { Range::Symmetric(full(b)) } else { Range::Asymmetric(full(a), full(b)) }
            }
        }
    }

    /// Scale, and zero point in the type's storage where the range is asymmetric.
    pub(crate) fn scale(&self, qtype: QType) -> (Tensor, Option<Tensor>) {
        match self {
            Range::Symmetric(absmax) => (nonzero(absmax * (1.0 / qtype.symmetric_bound())), None),
            Range::Asymmetric(low, high) => {
                let (qmin, qmax) = qtype.range();
                let scale = nonzero((high - low) * (1.0 / (qmax - qmin)));
                let zero_point = round_to(&(qmin - low / &scale), qtype);
                (scale, Some(zero_point))
            }
        }
    }
}

/// A scale too small to divide by becomes 1: everything it covers is as good as zero.
fn nonzero(scale: Tensor) -> Tensor {
    let tiny = f64::from(f32::MIN_POSITIVE.sqrt());
    scale.lt(tiny).select(&scale.full_like(1.0), &scale)
}

/// Scaled values as values of the type: nearest, ties to even, saturating.
pub(crate) fn round_to(scaled: &Tensor, qtype: QType) -> Tensor {
    let (low, high) = qtype.range();
    let rounded = if matches!(qtype, QType::Int(_)) { scaled.round_nearest_even() } else { scaled.clone() };
    rounded.clamp(low, high).convert(qtype.storage())
}
