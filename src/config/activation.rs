//! The surrogate gradients of `model.toml`: their names, arguments and defaults, as in Spyx. Knows no formula.

use serde::Serialize;

use super::fields::{Fields, Source};
use crate::error::Result;
use toml::de::DeTable;

/// A surrogate gradient by name: `{ type = "triangular", k = 2.0 }`. Source: `spyx.axn`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ActivationConfig {
    /// 4 / (e^-kx + e^kx)².
    Tanh {
        /// Slope, 1 by default.
        k: f64,
    },
    /// `height` within `width` / 2 of the threshold.
    Boxcar {
        /// Width of the window, 2 by default.
        width: f64,
        /// The gradient inside, 0.5 by default.
        height: f64,
    },
    /// max(0, 1 - |kx|).
    Triangular {
        /// Slope, 2 by default.
        k: f64,
    },
    /// 1 / (π (1 + (kπx)²)).
    Arctan {
        /// Slope, 2 by default.
        k: f64,
    },
    /// 1 / (1 + k|x|)².
    Superspike {
        /// Slope, 25 by default.
        k: f64,
    },
}

impl Default for ActivationConfig {
    /// `superspike(25)`, as in Spyx.
    fn default() -> ActivationConfig {
        ActivationConfig::Superspike { k: 25.0 }
    }
}

const TYPES: [&str; 5] = ["tanh", "boxcar", "triangular", "arctan", "superspike"];

/// The activation in a table at `place`.
pub(super) fn read<'a>(source: Source<'a>, table: &'a DeTable<'a>, place: usize, of: &str) -> Result<ActivationConfig> {
    let what = format!("the activation of {of}");
    let name: String = Fields::new(source, table, &what, place, &["type", "k", "width", "height"])?.require("type")?;
    let known: &[&str] = if name == "boxcar" { &["type", "width", "height"] } else { &["type", "k"] };
    let fields = Fields::new(source, table, format!("{what} ({name})"), place, known)?;
    let number = |key, default| Ok(fields.get(key)?.unwrap_or(default));
    Ok(match name.as_str() {
        "tanh" => ActivationConfig::Tanh { k: number("k", 1.0)? },
        "boxcar" => ActivationConfig::Boxcar { width: number("width", 2.0)?, height: number("height", 0.5)? },
        "triangular" => ActivationConfig::Triangular { k: number("k", 2.0)? },
        "arctan" => ActivationConfig::Arctan { k: number("k", 2.0)? },
        "superspike" => ActivationConfig::Superspike { k: number("k", 25.0)? },
        _ => return Err(fields.value_error("type", format!("is \"{name}\", but must be one of {}", TYPES.join(", ")))),
    })
}
