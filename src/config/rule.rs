//! A rule as written: plain data with qwix's fields. Invariant: strings and numbers only, not interpreted here.

use serde::Serialize;
use toml::de::DeValue;

use crate::error::Result;
use crate::fields::{Field, Fields, Key};

/// How a contracted axis is cut into tiles, each with its own scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TileSize {
    /// Elements per tile.
    Elements(usize),
    /// Fraction of the axis in a tile: 1 / the number of tiles.
    Fraction(f64),
}

/// One row per field: its documentation, type and default (qwix's). The keys of `rules.toml` are the field names.
macro_rules! rule {
    (
        $(#[$attribute:meta])*
        { $($(#[doc = $about:literal])* $(#[serde($($serde:tt)*)])? $name:ident: $ty:ty = $default:expr;)* }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct RuleConfig {
            $($(#[doc = $about])* $(#[serde($($serde)*)])? pub $name: $ty,)*
        }

        impl Default for RuleConfig {
            /// qwix's defaults: every operation matches, nothing is quantized.
            fn default() -> RuleConfig {
                RuleConfig { $($name: $default,)* }
            }
        }

        impl RuleConfig {
            /// The keys of a rule.
            pub(crate) const KEYS: &[Key] = &[
                $(Key::optional::<$ty>(stringify!($name), &[$($about),*], || {
                    let default: $ty = $default;
                    // TOML has no value for `None`.
                    toml::Value::try_from(default).ok()
                }),)*
            ];

            /// Reads the rule from a table with these keys.
            ///
            /// # Errors
            /// Of kind `Input`, with the line, for a value of the wrong type.
            pub(crate) fn read(fields: &Fields<'_>) -> Result<RuleConfig> {
                Ok(RuleConfig { $($name: fields.get(stringify!($name))?.unwrap_or_else(|| $default),)* })
            }
        }
    };
}

rule! {
    /// Selects operations to quantize, and how: `qwix.QuantizationRule` with the fields that `QtRule` adds.
    ///
    /// `module_path` is a regular expression that must match the whole path, as with Python's `re.fullmatch`. Of what qwix's rules may
    /// contain there, Rust's `regex` rejects look-around (`(?=…)`, `(?!…)`, `(?<=…)`), backreferences (`\1`, `(?P=…)`), conditionals,
    /// atomic groups, comments, `\Z` (here `\z`) and a bare `{`; it reads possessive `a++` as `(a+)+`, and `&&`, `--` and `~~` in a
    /// character class as set operations. Everything else has the same meaning.
    {
        /// Regular expression for the path of a layer, as in `core/layers/0`.
        module_path: String = ".*".into();
        /// The operations it applies to, as in `dot_general`; an empty list means all.
        op_names: Vec<String> = Vec::new();
        /// Type of the weights, as in `int8`; without it, the rule leaves its operations unquantized. The types are those of
        /// [`QType`](crate::quant::QType).
        #[serde(skip_serializing_if = "Option::is_none")]
        weight_qtype: Option<String> = None;
        /// Type of the activations.
        #[serde(skip_serializing_if = "Option::is_none")]
        act_qtype: Option<String> = None;
        /// Tile size along the last contracted axis.
        #[serde(skip_serializing_if = "Option::is_none")]
        tile_size: Option<TileSize> = None;
        /// Whether activations have a static scale from statistics instead of one per call.
        #[serde(skip_serializing_if = "Option::is_none")]
        act_static_scale: Option<bool> = None;
        /// Calibration method of the weights, as in `absmax`, `rms,7`, `fixed,-1,1`, `percentile,99.9`. The methods are those of
        /// [`Method`](crate::quant::Method).
        weight_calibration_method: String = "absmax".into();
        /// Calibration method of the activations; `absmax` if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        act_calibration_method: Option<String> = None;
        /// Axes over which static statistics are averaged.
        act_batch_axes: Vec<i64> = vec![0];
        /// Type of the gradients in the backward pass.
        #[serde(skip_serializing_if = "Option::is_none")]
        bwd_qtype: Option<String> = None;
        /// Calibration method of the gradients.
        bwd_calibration_method: String = "absmax".into();
        /// Tile size of the product for a weight's gradient.
        #[serde(skip_serializing_if = "Option::is_none")]
        bwd_weight_grad_tile_size: Option<TileSize> = None;
        /// Whether to use a single scale per array, in the forward and backward pass.
        disable_channelwise_axes: bool = false;
        /// Noise for stochastic rounding of gradients: `uniform` or `low_bit_uniform`.
        #[serde(skip_serializing_if = "Option::is_none")]
        bwd_stochastic_rounding: Option<String> = None;
        /// Axes along which that noise varies.
        channelwise_noise_axes: Vec<i64> = vec![0];
    }
}

impl RuleConfig {
    /// The text of a file of `[[rules]]` with these rules, every default written out.
    pub(crate) fn file_of(rules: &[&RuleConfig]) -> String {
        #[derive(Serialize)]
        struct File<'a> {
            rules: &'a [&'a RuleConfig],
        }
        toml::to_string(&File { rules }).expect("strings, numbers and lists")
    }
}

impl Field for TileSize {
    const WHAT: &'static str = "a whole number from 1 up or a fraction between 0 and 1";
    const KIND: &'static str = "size or fraction";
    fn read(value: &DeValue<'_>) -> Option<TileSize> {
        if value.is_integer() {
            return usize::read(value).map(TileSize::Elements);
        }
        f64::read(value).filter(|part| 0.0 < *part && *part <= 1.0).map(TileSize::Fraction)
    }
}
