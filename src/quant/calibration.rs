//! Calibration: computes the represented range from a tensor's values.

use std::fmt;

use spiq_hlo::{Array, DType, Tensor};

use super::qtype::QType;
use super::refusal::Refusal;
use super::rounding::{levels, round_to};
use crate::error::{Error, Result};

/// How the represented range follows from the values: qwix's calibration methods with their arguments, and three additional ones
/// (`absmean`, `percentile`, `mse`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// `absmax[,k]`: symmetric, k · max |x|.
    Absmax(f64),
    /// `minmax[,k]`: k · (min(x, 0), max(x, 0)), with a zero point.
    Minmax(f64),
    /// `rms,k`: symmetric, k · sqrt(mean x²).
    Rms(f64),
    /// `absmean[,k]`: symmetric, k · mean |x|.
    Absmean(f64),
    /// `percentile,p`: symmetric; contains p percent of all magnitudes, interpolated between neighbours.
    Percentile(f64),
    /// `mse`: symmetric; the range with the smallest squared error among 1, 0.95, … 0.1 times max |x|.
    Mse,
    /// `fixed,a[,b]`: (-a, a) or (a, b), the same for the whole tensor.
    Fixed(f64, f64),
}

/// A method's name and arguments.
struct Kind {
    name: &'static str,
    /// The name with its arguments.
    form: &'static str,
    /// The range, in a sentence.
    about: &'static str,
    /// The method with these arguments, or what it requires instead.
    read: fn(&[f64]) -> std::result::Result<Method, &'static str>,
    /// The arguments of a method, if it is of this kind.
    arguments: fn(Method) -> Option<Vec<f64>>,
}

/// All kinds of methods, for parsing, printing and error messages.
const KINDS: [Kind; 7] = [
    Kind {
        name: "absmax",
        form: "absmax[,k]",
        about: "Symmetric: k · max |x|; k is 1 by default.",
        read: |given| one_or_none(given).map(Method::Absmax),
        arguments: |method| if let Method::Absmax(k) = method { Some(vec![k]) } else { None },
    },
    Kind {
        name: "minmax",
        form: "minmax[,k]",
        about: "k · (min(x, 0), max(x, 0)), with a zero point.",
        read: |given| one_or_none(given).map(Method::Minmax),
        arguments: |method| if let Method::Minmax(k) = method { Some(vec![k]) } else { None },
    },
    Kind {
        name: "rms",
        form: "rms,k",
        about: "Symmetric: k · sqrt(mean x²).",
        read: |given| match given {
            [k] => factor(*k).map(Method::Rms),
            _ => Err("needs a factor, as in `rms,7`"),
        },
        arguments: |method| if let Method::Rms(k) = method { Some(vec![k]) } else { None },
    },
    Kind {
        name: "fixed",
        form: "fixed,a[,b]",
        about: "(-a, a) or (a, b), the same for the whole tensor.",
        read: |given| match *given {
            [a] if a > 0.0 => Ok(Method::Fixed(-a, a)),
            [a, b] if a <= 0.0 && b >= 0.0 && a < b => Ok(Method::Fixed(a, b)),
            _ => Err("needs a range that contains 0, as in `fixed,1` or `fixed,-1,2`"),
        },
        arguments: |method| if let Method::Fixed(a, b) = method { Some(vec![a, b]) } else { None },
    },
    Kind {
        name: "absmean",
        form: "absmean[,k]",
        about: "Symmetric: k · mean |x|.",
        read: |given| one_or_none(given).map(Method::Absmean),
        arguments: |method| if let Method::Absmean(k) = method { Some(vec![k]) } else { None },
    },
    Kind {
        name: "percentile",
        form: "percentile,p",
        about: "Symmetric: contains p percent of all magnitudes.",
        read: |given| match *given {
            [p] if 0.0 < p && p <= 100.0 => Ok(Method::Percentile(p)),
            _ => Err("needs a percentage above 0 and up to 100, as in `percentile,99.9`"),
        },
        arguments: |method| if let Method::Percentile(p) = method { Some(vec![p]) } else { None },
    },
    Kind {
        name: "mse",
        form: "mse",
        about: "Symmetric: the range with the smallest squared error.",
        read: |given| if given.is_empty() { Ok(Method::Mse) } else { Err("takes no argument") },
        arguments: |method| if method == Method::Mse { Some(Vec::new()) } else { None },
    },
];

fn one_or_none(given: &[f64]) -> std::result::Result<f64, &'static str> {
    match given {
        [] => Ok(1.0),
        [k] => factor(*k),
        _ => Err("takes at most one factor"),
    }
}

fn factor(k: f64) -> std::result::Result<f64, &'static str> {
    if k as f32 > 0.0 { Ok(k) } else { Err("its factor must be above 0") }
}

impl fmt::Display for Method {
    /// The form that [`parse`](Method::parse) reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_kind = |kind: &Kind| (kind.arguments)(*self).map(|arguments| (kind.name, arguments));
        let (name, arguments) = KINDS.iter().find_map(of_kind).expect("each method has a row");
        f.write_str(name)?;
        arguments.iter().try_for_each(|argument| write!(f, ",{argument}"))
    }
}

impl Method {
    /// Each method with its arguments, and the range that it computes.
    pub(super) fn forms() -> impl Iterator<Item = (&'static str, &'static str)> {
        KINDS.iter().map(|kind| (kind.form, kind.about))
    }

    /// Reads `absmax`, `absmax,0.9`, `fixed,-1,2`, ….
    ///
    /// # Errors
    /// Of kind `Input`: an unknown method, a wrong number of arguments, a factor that is not above 0, a range without 0.
    ///
    /// ```
    /// use spiq::quant::Method;
    /// assert_eq!(Method::parse("fixed,2")?, Method::Fixed(-2.0, 2.0));
    /// assert_eq!(Method::parse("absmax,0.9")?.to_string(), "absmax,0.9");
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Method> {
        let wrong = |why: &str| Error::input(format!("calibration method `{text}`: {why}"));
        let lower = text.to_lowercase();
        let mut parts = lower.split(',').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let numbers: Option<Vec<f64>> =
            parts.map(|p| p.parse().ok().filter(|v: &f64| (*v as f32).is_finite())).collect();
        let numbers = numbers.ok_or_else(|| wrong("its arguments must be numbers, as in `absmax,0.9`"))?;
        match KINDS.iter().find(|kind| kind.name == name) {
            Some(kind) => (kind.read)(&numbers).map_err(wrong),
            None => Err(wrong(&format!("unknown (known: {})", KINDS.map(|kind| kind.name).join(", ")))),
        }
    }

    /// The method given in a field of a rule.
    pub(super) fn of_field(field: &'static str, text: &str) -> std::result::Result<Method, Refusal> {
        Method::parse(text).map_err(|error| Refusal::of(field, error))
    }

    /// The method to use with a type: `ternary` and `int1` use the mean magnitude unless another method than the default, absmax, is given.
    ///
    /// # Errors
    /// Of kind `Input`: an asymmetric range for a type without a zero point, or a method for a type without a range.
    pub(crate) fn beside(self, qtype: QType) -> Result<Method> {
        if self.is_asymmetric() && !qtype.has_zero_point() {
            return Err(Error::input(format!("{qtype} has no zero point, so use a symmetric method like absmax")));
        }
        match (qtype, self) {
            (_, Method::Fixed(low, high)) if (high - low) / qtype.symmetric_bound() < SMALLEST_SCALE => {
                Err(Error::input(format!("the range {self} is too small for a scale of {qtype} in f32")))
            }
            (QType::Ternary | QType::Int1, Method::Absmax(1.0)) => Ok(Method::Absmean(1.0)),
            (QType::Binary, method) if method != Method::Absmax(1.0) => {
                Err(Error::input("binary has no range to calibrate, so leave its calibration method out"))
            }
            _ => Ok(self),
        }
    }

    /// Whether values can lie outside the range, so that gradients are masked there.
    pub(crate) fn clips(self) -> bool {
        match self {
            Method::Absmax(k) | Method::Minmax(k) => k < 1.0,
            Method::Rms(_) | Method::Fixed(..) | Method::Absmean(_) | Method::Percentile(_) | Method::Mse => true,
        }
    }

    /// Whether the range is independent of the values.
    pub(crate) fn is_fixed(self) -> bool {
        matches!(self, Method::Fixed(..))
    }

    /// Whether the range is shifted by a zero point.
    pub(crate) fn is_asymmetric(self) -> bool {
        match self {
            Method::Minmax(_) => true,
            Method::Fixed(a, b) => a + b != 0.0,
            _ => false,
        }
    }
}

/// The represented range of each scale; tensors of the scale's shape.
#[derive(Clone, Debug)]
pub(crate) enum Range {
    /// From minus this value to this value.
    Symmetric(Tensor),
    /// From the first to the second value; contains 0.
    Asymmetric(Tensor, Tensor),
}

impl Range {
    /// The range of `x` for a type, reduced over `axes`; `scale_dims` is the shape of the scales.
    pub(crate) fn of(x: &Tensor, axes: &[usize], scale_dims: &[usize], method: Method, qtype: QType) -> Range {
        // One range for the whole tensor, regardless of channels.
        let full = |v: f64| x.graph().full(x.ty().with_dims(vec![1; scale_dims.len()]), v);
        if qtype == QType::Binary {
            return Range::Symmetric(full(1.0));
        }
        let times = |t: Tensor, k: f64| if k == 1.0 { t } else { t * k };
        let shaped = |t: Tensor| t.reshape(scale_dims);
        match method {
            Method::Absmax(k) => Range::Symmetric(shaped(times(x.reduce_absmax(axes), k))),
            Method::Rms(k) => Range::Symmetric(shaped((x * x).reduce_mean(axes).sqrt() * k)),
            Method::Absmean(k) => Range::Symmetric(shaped(times(x.abs().reduce_mean(axes), k))),
            Method::Percentile(p) => Range::Symmetric(shaped(percentile(&x.abs(), axes, p))),
            Method::Mse => Range::Symmetric(shaped(smallest_error(x, axes, qtype))),
            Method::Minmax(k) => {
                let (low, high) = (x.reduce_min(axes).minimum(0.0), x.reduce_max(axes).maximum(0.0));
                Range::Asymmetric(shaped(times(low, k)), shaped(times(high, k)))
            }
            Method::Fixed(a, b) => {
                if a + b == 0.0 {
                    Range::Symmetric(full(b))
                } else {
                    Range::Asymmetric(full(a), full(b))
                }
            }
        }
    }

    /// The scale, and for asymmetric ranges the zero point in the type's storage.
    pub(crate) fn scale(&self, qtype: QType) -> (Tensor, Option<Tensor>) {
        match self {
            Range::Symmetric(absmax) => {
                let bound = qtype.symmetric_bound();
                // XLA divides constants at compile time, and multiplies everything else by the reciprocal.
                let is_constant = absmax.sources().is_empty();
                let scale = if is_constant { absmax / bound } else { absmax * (1.0 / bound) };
                (scale_of(&scale, qtype), None)
            }
            Range::Asymmetric(low, high) => {
                let (qmin, qmax) = qtype.range();
                let scale = nonzero(&((high - low) * (1.0 / (qmax - qmin))));
                let zero_point = round_to(&(qmin - low / &scale), qtype);
                (scale, Some(zero_point))
            }
        }
    }
}

/// The square root of the smallest normal f32.
const SMALLEST_SCALE: f64 = 1.084_202_172_485_504_4e-19;

/// Replaces a scale too small to divide by with 1: everything it covers is effectively zero.
fn nonzero(scale: &Tensor) -> Tensor {
    scale.lt(SMALLEST_SCALE).select(&scale.full_like(1.0), scale)
}

/// Rounds a scale to one that the type supports.
fn scale_of(scale: &Tensor, qtype: QType) -> Tensor {
    match qtype {
        // Nothing is divided by this scale, and a scale of 0 correctly gives zeros.
        QType::Int1 => scale.clone(),
        QType::Mxfp8 | QType::Mxfp4 => next_power_of_two(&nonzero(scale)),
        QType::Nvfp4 => {
            // A scale that would round to 0 becomes the smallest f8E4M3FN above it; qwix divides by 0 there.
            let rounded = round_to(&nonzero(scale), QType::E4m3fn).convert(scale.dtype());
            rounded.maximum(2f64.powi(-9))
        }
        _ => nonzero(scale),
    }
}

/// 2^ceil(log2 x), exactly: rounds the bits of an f32 up to a zero mantissa.
fn next_power_of_two(x: &Tensor) -> Tensor {
    let mantissa = f64::from((1 << 23) - 1);
    let bits = x.convert(DType::F32).bitcast_convert(DType::S32) + mantissa;
    bits.and(-1.0 - mantissa).bitcast_convert(DType::F32).convert(x.dtype())
}

/// The value below which `p` percent of the values over `axes` lie, interpolated linearly between neighbours (numpy's default).
fn percentile(x: &Tensor, axes: &[usize], p: f64) -> Tensor {
    let kept: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
    let kept_dims: Vec<usize> = kept.iter().map(|&axis| x.dims()[axis]).collect();
    let count = axes.iter().map(|&axis| x.dims()[axis]).product::<usize>();
    let order = [kept, axes.to_vec()].concat();
    let sorted = x.transpose(&order).reshape(&[&kept_dims[..], &[count]].concat()).sort(-1);
    let place = p / 100.0 * (count.max(1) - 1) as f64;
    let at = |index: f64| sorted.index_axis(-1, index as usize);
    let (low, high) = (at(place.floor()), at(place.ceil()));
    let way = (&high - &low) * place.fract();
    low + way
}

/// The fractions of the largest magnitude that `mse` tries, the largest first.
fn parts() -> Array {
    let parts: Vec<f32> = (2..=20).rev().map(|twentieths| twentieths as f32 / 20.0).collect();
    Array::new([parts.len()], parts).expect("a list of its own length")
}

/// The fraction of the largest magnitude over `axes` that minimizes a type's squared error.
///
/// All fractions are tried at once, along a new leading axis: one reduction to compile, instead of one per fraction.
fn smallest_error(x: &Tensor, axes: &[usize], qtype: QType) -> Tensor {
    let parts = x.graph().constant(&parts()).convert(x.dtype());
    let ones = vec![1; x.rank()];
    let kept: Vec<usize> = (0..x.rank()).map(|axis| if axes.contains(&axis) { 1 } else { x.dims()[axis] }).collect();
    let largest = x.reduce_absmax(axes);
    let ranges = largest.reshape(&kept).expand_dims(0) * parts.reshape(&[parts.dims(), &ones].concat());
    let (scale, _) = Range::Symmetric(ranges).scale(qtype);
    let each = x.expand_dims(0);
    let off = &each - levels(&round_to(&(&each * (1.0 / &scale)), qtype), qtype, x.dtype()) * &scale;
    let behind: Vec<usize> = axes.iter().map(|axis| axis + 1).collect();
    let best = (&off * &off).reduce_sum(&behind).negate().argmax(0);
    parts.take_clipped(&best, 0) * largest
}
