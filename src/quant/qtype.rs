//! The types a tensor can be quantized to: bounds, storage, names. Knows nothing of graphs.

use std::fmt;

use spiq_hlo::DType;

use super::refusal::Refusal;
use crate::error::{Error, Result};
use crate::fields::nearest;

/// A logical type of quantized values, with qwix's names and bounds (`qwix._src.core.numerics`), and three of ours.
///
/// No type needs anything of a backend beyond 8-bit integers and floats: narrower ones are kept in a wider element type
/// with the same values ([`storage`](QType::storage)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QType {
    /// A signed integer of 2 to 8 bits: `int2` … `int8`.
    Int(u8),
    /// `nf4`: the nearest of 16 levels that lie like the quantiles of a normal distribution.
    Nf4,
    /// `float8_e4m3fn`, or `fp8`: 3 bits of mantissa, up to 448.
    E4m3fn,
    /// `float8_e5m2`: 2 bits of mantissa, up to 57344.
    E5m2,
    /// `mxfp8`: float8_e4m3fn in tiles of 32, whose scale is a power of two.
    Mxfp8,
    /// `mxfp4`: float4_e2m1fn in tiles of 32, whose scale is a power of two.
    Mxfp4,
    /// `nvfp4`: float4_e2m1fn in tiles of 16, whose scale is a float8_e4m3fn.
    Nvfp4,
    /// `binary`: 0 or 1, unscaled, as spikes are. A spike stays exactly what it is. Other values are rounded to the nearer.
    Binary,
    /// `ternary`: -1, 0 or 1, times the mean magnitude, as in BitNet b1.58 (arXiv 2402.17764), with a mean for each
    /// channel. qwix has none; Spyx's rules of that name take int2, which has a fourth value.
    Ternary,
    /// `int1`: -1 or 1, times the mean magnitude, which makes the squared error smallest (XNOR-Net, arXiv 1603.05279). qwix
    /// gives zeros. Spikes, which are one bit as they are, stay 0 and 1.
    Int1,
}

impl QType {
    /// Every type, in the order in which messages list them.
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
    /// Of kind `Input`: names the type and the nearest one that exists.
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

    /// The type that a field of a rule names, if it names one.
    pub(super) fn of_field(field: &'static str, name: Option<&str>) -> std::result::Result<Option<QType>, Refusal> {
        name.map(QType::parse).transpose().map_err(|error| Refusal::of(field, error))
    }

    /// What a symmetric range is divided by to give the scale. Integers reach half a step beyond their largest value,
    /// so that the outermost bucket is as wide as the others.
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

    /// Whether it has a zero point to shift: `int4` and `int8`, as in qwix.
    pub fn has_zero_point(self) -> bool {
        matches!(self, QType::Int(4 | 8))
    }

    /// Elements in a tile, for the types that consist of tiles.
    pub fn tile(self) -> Option<usize> {
        match self {
            QType::Mxfp8 | QType::Mxfp4 => Some(32),
            QType::Nvfp4 => Some(16),
            _ => None,
        }
    }

    /// Whether gradients are cut where a value lies outside the range. With a single level on a side of zero, half of all
    /// values do; BitNet lets their gradients pass.
    pub(crate) fn cuts_gradients(self) -> bool {
        !matches!(self, QType::Binary | QType::Ternary | QType::Int1)
    }

    /// Whether what is stored is the value before scaling, so that products of it mean something: not of level numbers.
    pub(crate) fn is_uniform(self) -> bool {
        self != QType::Nf4
    }

    /// Element type in the graph. Integers below 8 bits are kept in `s8`, with the same values: a dot of `s4` operands
    /// is refused on CPU and slow on GPU. Likewise the floats of 4 bits in `f8E4M3FN`, which has all their values. Levels of
    /// nf4 are kept as their numbers, from 0, in `u8`.
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
