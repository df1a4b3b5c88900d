//! The types a tensor can be quantized to: bounds, storage, names.

use std::fmt;

use spiq_hlo::DType;

use super::refusal::Refusal;
use crate::error::{Error, Result};
use crate::fields::nearest;

/// A logical type of quantized values, with qwix's names and bounds (`qwix._src.core.numerics`), and three additional ones.
///
/// No type requires more of a backend than 8-bit integers and floats: narrower types are stored in a wider element type with the same
/// values ([`storage`](QType::storage)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QType {
    /// A signed integer of 2 to 8 bits: `int2` … `int8`.
    Int(u8),
    /// `nf4`: the nearest of 16 levels, spaced like the quantiles of a normal distribution.
    Nf4,
    /// `float8_e4m3fn`, or `fp8`: 3 bits of mantissa, up to 448.
    E4m3fn,
    /// `float8_e5m2`: 2 bits of mantissa, up to 57344.
    E5m2,
    /// `mxfp8`: float8_e4m3fn in tiles of 32, with power-of-two scales.
    Mxfp8,
    /// `mxfp4`: float4_e2m1fn in tiles of 32, with power-of-two scales.
    Mxfp4,
    /// `nvfp4`: float4_e2m1fn in tiles of 16, with float8_e4m3fn scales.
    Nvfp4,
    /// `binary`: 0 or 1, unscaled, for spikes, which it represents exactly. Other values are rounded to the nearer one.
    Binary,
    /// `ternary`: -1, 0 or 1, times the mean magnitude, as in BitNet b1.58 (arXiv 2402.17764), with one mean per channel. qwix has no such
    /// type; Spyx's rules of that name use int2, which has a fourth value.
    Ternary,
    /// `int1`: -1 or 1, times the mean magnitude, which minimizes the squared error (XNOR-Net, arXiv 1603.05279). qwix gives zeros. Spikes,
    /// which are already one bit, stay 0 and 1.
    Int1,
}

impl QType {
    /// All types, in the order used in messages.
    pub const ALL: [QType; 16] = [
        QType::Int1,
        QType::Int(2),
        QType::Int(3),
        QType::Int(4),
        QType::Int(5),
        QType::Int(6),
        QType::Int(7),
        QType::Int(8),
        QType::Nf4,
        QType::E4m3fn,
        QType::E5m2,
        QType::Mxfp8,
        QType::Mxfp4,
        QType::Nvfp4,
        QType::Ternary,
        QType::Binary,
    ];

    /// The type with this name.
    ///
    /// # Errors
    /// Of kind `Input`, with the name and the nearest existing one.
    ///
    /// ```
    /// use spiq::quant::QType;
    /// assert_eq!(QType::parse("int4")?, QType::Int(4));
    /// assert_eq!(QType::parse("fp8")?.to_string(), "float8_e4m3fn");
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn parse(name: &str) -> Result<QType> {
        if name == "fp8" {
            return Ok(QType::E4m3fn);
        }
        let found = QType::ALL.into_iter().find(|t| t.to_string() == name);
        let names: Vec<String> = QType::ALL.iter().map(QType::to_string).collect();
        found.ok_or_else(|| {
            let guess = nearest(name, names.iter().map(String::as_str));
            let hint = guess.map(|g| format!("; did you mean `{g}`?")).unwrap_or_default();
            Error::input(format!("unknown quantized type `{name}`{hint} (known: {})", names.join(", ")))
        })
    }

    /// The type given in a field of a rule, if any.
    pub(super) fn of_field(field: &'static str, name: Option<&str>) -> std::result::Result<Option<QType>, Refusal> {
        name.map(QType::parse).transpose().map_err(|error| Refusal::of(field, error))
    }

    /// The divisor that turns a symmetric range into its scale. For integers it is half a step above the largest value, so that the
    /// outermost bucket is as wide as the others.
    pub fn symmetric_bound(self) -> f64 {
        match self {
            QType::Int(bits) => 2f64.powi(i32::from(bits) - 1) - 0.5,
            _ => self.range().1,
        }
    }

    /// Smallest and largest representable value.
    pub fn range(self) -> (f64, f64) {
        match self {
            QType::Int(bits) => (-(2f64.powi(i32::from(bits) - 1)), 2f64.powi(i32::from(bits) - 1) - 1.0),
            QType::E4m3fn | QType::Mxfp8 => (-448.0, 448.0),
            QType::E5m2 => (-57344.0, 57344.0),
            QType::Mxfp4 | QType::Nvfp4 => (-6.0, 6.0),
            QType::Nf4 | QType::Ternary | QType::Int1 => (-1.0, 1.0),
            QType::Binary => (0.0, 1.0),
        }
    }

    /// Whether it supports a zero point: `int4` and `int8`, as in qwix.
    pub fn has_zero_point(self) -> bool {
        matches!(self, QType::Int(4 | 8))
    }

    /// Elements per tile, for types with built-in tiles.
    pub fn tile(self) -> Option<usize> {
        match self {
            QType::Mxfp8 | QType::Mxfp4 => Some(32),
            QType::Nvfp4 => Some(16),
            _ => None,
        }
    }

    /// Whether gradients are masked where a value is outside the range. With a single level on each side of zero, that would be half of all
    /// values; BitNet lets their gradients pass.
    pub(crate) fn cuts_gradients(self) -> bool {
        !matches!(self, QType::Binary | QType::Ternary | QType::Int1)
    }

    /// Whether stored values are proportional to the represented ones, so that their products are meaningful; level indices are not.
    pub(crate) fn is_uniform(self) -> bool {
        self != QType::Nf4
    }

    /// Element type in the graph. Integers below 8 bits are stored in `s8`, with the same values: a dot of `s4` operands is unsupported on
    /// CPU and slow on GPU. Likewise, 4-bit floats are stored in `f8E4M3FN`, which has all their values. nf4 levels are stored as indices
    /// from 0, in `u8`.
    pub fn storage(self) -> DType {
        match self {
            QType::Int(_) | QType::Binary | QType::Ternary | QType::Int1 => DType::S8,
            QType::Nf4 => DType::U8,
            QType::E4m3fn | QType::Mxfp8 | QType::Mxfp4 | QType::Nvfp4 => DType::F8E4M3FN,
            QType::E5m2 => DType::F8E5M2,
        }
    }
}

impl fmt::Display for QType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QType::Int(bits) => write!(f, "int{bits}"),
            QType::Int1 => f.write_str("int1"),
            QType::Nf4 => f.write_str("nf4"),
            QType::E4m3fn => f.write_str("float8_e4m3fn"),
            QType::E5m2 => f.write_str("float8_e5m2"),
            QType::Mxfp8 => f.write_str("mxfp8"),
            QType::Mxfp4 => f.write_str("mxfp4"),
            QType::Nvfp4 => f.write_str("nvfp4"),
            QType::Binary => f.write_str("binary"),
            QType::Ternary => f.write_str("ternary"),
        }
    }
}
