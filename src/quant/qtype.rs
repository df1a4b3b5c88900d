//! The types a tensor can be quantized to: bounds, storage, names. Knows nothing of scales.

use std::fmt;

use spiq_hlo::DType;

use crate::config::nearest;
use crate::error::{Error, Result};

/// A logical type of quantized values, with qwix's names and bounds (`qwix._src.core.numerics`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QType {
    /// A signed integer of 2 to 8 bits: `int2` … `int8`.
    Int(u8),
    /// `float8_e4m3fn`: 3 bits of mantissa, up to 448.
    E4m3fn,
    /// `float8_e5m2`: 2 bits of mantissa, up to 57344.
    E5m2,
}

impl QType {
    /// Every type, in the order in which messages list them.
    pub const ALL: [QType; 9] = [
        QType::Int(2),
        QType::Int(3),
        QType::Int(4),
        QType::Int(5),
        QType::Int(6),
        QType::Int(7),
        QType::Int(8),
        QType::E4m3fn,
        QType::E5m2,
    ];

    /// The type with this name.
    ///
    /// # Errors
    /// Of kind `Input`: names the type and the nearest one that exists.
    pub fn parse(name: &str) -> Result<QType> {
        let found = QType::ALL.into_iter().find(|t| t.to_string() == name);
        let names: Vec<String> = QType::ALL.iter().map(QType::to_string).collect();
        found.ok_or_else(|| {
            let guess = nearest(name, names.iter().map(String::as_str));
            let hint = guess.map(|g| format!("; did you mean `{g}`?")).unwrap_or_default();
            Error::input(format!("unknown quantized type `{name}`{hint} (known: {})", names.join(", ")))
        })
    }

    /// What a symmetric range is divided by to give the scale. Integers reach half a step beyond their largest value,
    /// so that the outermost bucket is as wide as the others.
    pub fn symmetric_bound(self) -> f64 {
        match self {
            QType::Int(bits) => 2f64.powi(i32::from(bits) - 1) - 0.5,
            QType::E4m3fn => 448.0,
            QType::E5m2 => 57344.0,
        }
    }

    /// Smallest and largest representable value.
    pub fn range(self) -> (f64, f64) {
        match self {
            QType::Int(bits) => (-(2f64.powi(i32::from(bits) - 1)), 2f64.powi(i32::from(bits) - 1) - 1.0),
            QType::E4m3fn => (-448.0, 448.0),
            QType::E5m2 => (-57344.0, 57344.0),
        }
    }

    /// Whether it has a zero point to shift: `int4` and `int8`, as in qwix.
    pub fn has_zero_point(self) -> bool {
        matches!(self, QType::Int(4 | 8))
    }

    /// Element type in the graph. Integers below 8 bits are kept in `s8`, with the same values: a dot of `s4` operands
    /// is refused on CPU and slow on GPU.
    pub fn storage(self) -> DType {
        match self {
            QType::Int(_) => DType::S8,
            QType::E4m3fn => DType::F8E4M3FN,
            QType::E5m2 => DType::F8E5M2,
        }
    }

    /// Element type in which products are summed.
    pub fn accumulator(self) -> DType {
        if matches!(self, QType::Int(_)) { DType::S32 } else { DType::F32 }
    }
}

impl fmt::Display for QType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QType::Int(bits) => write!(f, "int{bits}"),
            QType::E4m3fn => f.write_str("float8_e4m3fn"),
            QType::E5m2 => f.write_str("float8_e5m2"),
        }
    }
}
