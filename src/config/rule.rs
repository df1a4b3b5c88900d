//! `rules.toml`: quantization rules with the fields of qwix. Knows nothing of what quantization does.

use std::path::Path;

use regex::Regex;
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};
use crate::fields::{Field, Fields, Source, read_text};

/// How a contracted axis is cut into tiles, each with a scale of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TileSize {
    /// Elements in a tile.
    Elements(usize),
    /// A tile's part of the axis: 1 / the number of tiles.
    Fraction(f64),
}

/// Which operations to quantize, and how: `qwix.QuantizationRule` with the fields that `QtRule` adds.
///
/// `module_path` is a regular expression that must match the whole path, as with Python's `re.fullmatch`. Of what qwix's
/// rules may say there, Rust's `regex` refuses look-around (`(?=…)`, `(?!…)`, `(?<=…)`), backreferences (`\1`,
/// `(?P=…)`), conditionals, atomic groups, comments, `\Z` (here `\z`) and a bare `{`; it reads possessive `a++` as
/// `(a+)+`, and `&&`, `--` and `~~` in a character class as operations on sets. The rest means the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleConfig {
    /// Regular expression for the path of a layer, as in `core/layers/0`; `.*` by default.
    pub module_path: String,
    /// The operations it applies to, as in `dot_general`; empty, the default, means all.
    pub op_names: Vec<String>,
    /// Type of the weights, a name of [`QType`](crate::quant::QType); without it the rule leaves its operations as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_qtype: Option<String>,
    /// Type of the activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act_qtype: Option<String>,
    /// Tiles along the last contracted axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile_size: Option<TileSize>,
    /// Whether activations have a scale fixed by statistics rather than one per call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act_static_scale: Option<bool>,
    /// How weights get their range, as in `absmax` (the default), `rms,7`, `fixed,-1,1`, `percentile,99.9`: see
    /// [`Method`](crate::quant::Method).
    pub weight_calibration_method: String,
    /// How activations get their range; `absmax` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act_calibration_method: Option<String>,
    /// Axes over which static statistics are averaged; `[0]` by default.
    pub act_batch_axes: Vec<i64>,
    /// Type of the gradients in the backward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bwd_qtype: Option<String>,
    /// How gradients get their range; `absmax` by default.
    pub bwd_calibration_method: String,
    /// Tiles of the product that gives the weights' gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bwd_weight_grad_tile_size: Option<TileSize>,
    /// Whether a scale is one for the whole array, in both directions; false by default.
    pub disable_channelwise_axes: bool,
    /// Noise that rounds gradients at random: `uniform` or `low_bit_uniform`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bwd_stochastic_rounding: Option<String>,
    /// Axes along which that noise differs; `[0]` by default.
    pub channelwise_noise_axes: Vec<i64>,
}

impl Default for RuleConfig {
    /// qwix's defaults: every operation matches, nothing is quantized.
    fn default() -> RuleConfig {
        RuleConfig {
            module_path: ".*".into(),
            op_names: Vec::new(),
            weight_qtype: None,
            act_qtype: None,
            tile_size: None,
            act_static_scale: None,
            weight_calibration_method: "absmax".into(),
            act_calibration_method: None,
            act_batch_axes: vec![0],
            bwd_qtype: None,
            bwd_calibration_method: "absmax".into(),
            bwd_weight_grad_tile_size: None,
            disable_channelwise_axes: false,
            bwd_stochastic_rounding: None,
            channelwise_noise_axes: vec![0],
        }
    }
}

impl RuleConfig {
    /// `module_path`, compiled so that it matches whole paths only.
    ///
    /// # Errors
    /// Of kind `Input`, with the regular expression's own reason, when it does not compile.
    ///
    /// ```
    /// let rule = spiq::config::RuleConfig { module_path: "core/layers/[02]".into(), ..Default::default() };
    /// assert!(rule.path_regex()?.is_match("core/layers/2"));
    /// assert!(!rule.path_regex()?.is_match("core/layers/20"));
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn path_regex(&self) -> Result<Regex> {
        // Compiled alone first: around a broken expression, the anchors could close what it left open.
        let compiled =
            Regex::new(&self.module_path).and_then(|_| Regex::new(&format!(r"\A(?:{})\z", self.module_path)));
        compiled.map_err(|error| {
            let text = error.to_string();
            let reason = text.rsplit("error: ").next().unwrap_or(&text).trim().replace('\n', " ");
            Error::input(format!("the module_path `{}` is not a regular expression: {reason}", self.module_path))
        })
    }
}

const KEYS: [&str; 15] = [
    "module_path",
    "op_names",
    "weight_qtype",
    "act_qtype",
    "tile_size",
    "act_static_scale",
    "weight_calibration_method",
    "act_calibration_method",
    "act_batch_axes",
    "bwd_qtype",
    "bwd_calibration_method",
    "bwd_weight_grad_tile_size",
    "disable_channelwise_axes",
    "bwd_stochastic_rounding",
    "channelwise_noise_axes",
];

/// Reads a file of `[[rules]]`.
///
/// # Errors
/// Of kind `File` when it cannot be read; of kind `Input`, with the line, for bad TOML, an unknown key, a value of the
/// wrong type, a `module_path` that does not compile, or no rule at all.
pub fn load_rules(path: &Path) -> Result<Vec<RuleConfig>> {
    parse_rules(&read_text(path)?, &path.display().to_string())
}

/// Reads the text of a file of `[[rules]]`. `source` names it in messages.
///
/// # Errors
/// Of kind `Input`, as [`load_rules`].
///
/// ```
/// use spiq::config::{parse_rules, rules_to_toml};
/// let rules = parse_rules("[[rules]]\nweight_qtype = \"int8\"\ntile_size = 0.5", "rules.toml")?;
/// assert_eq!(rules[0].module_path, ".*");
/// assert_eq!(parse_rules(&rules_to_toml(&rules), "again")?, rules);
/// # Ok::<(), spiq::Error>(())
/// ```
pub fn parse_rules(text: &str, source: &str) -> Result<Vec<RuleConfig>> {
    let source = Source { name: source, text };
    let table = source.parse()?;
    let tables = Fields::new(source, &table, "the file", 0, &["rules"])?.tables("rules")?;
    (1..).zip(tables).map(|(number, (table, span))| read(source, table, span.start, number)).collect()
}

/// The text of a file that gives these rules, every default written out.
pub fn rules_to_toml(rules: &[RuleConfig]) -> String {
    #[derive(Serialize)]
    struct File<'a> {
        rules: &'a [RuleConfig],
    }
    toml::to_string(&File { rules }).expect("strings, numbers and lists")
}

fn read<'a>(source: Source<'a>, table: &'a DeTable<'a>, place: usize, number: usize) -> Result<RuleConfig> {
    let fields = Fields::new(source, table, format!("rule {number}"), place, &KEYS)?;
    let default = RuleConfig::default();
    let rule = RuleConfig {
        module_path: fields.get("module_path")?.unwrap_or(default.module_path),
        op_names: fields.get("op_names")?.unwrap_or(default.op_names),
        weight_qtype: fields.get("weight_qtype")?,
        act_qtype: fields.get("act_qtype")?,
        tile_size: fields.get("tile_size")?,
        act_static_scale: fields.get("act_static_scale")?,
        weight_calibration_method: fields
            .get("weight_calibration_method")?
            .unwrap_or(default.weight_calibration_method),
        act_calibration_method: fields.get("act_calibration_method")?,
        act_batch_axes: fields.get("act_batch_axes")?.unwrap_or(default.act_batch_axes),
        bwd_qtype: fields.get("bwd_qtype")?,
        bwd_calibration_method: fields.get("bwd_calibration_method")?.unwrap_or(default.bwd_calibration_method),
        bwd_weight_grad_tile_size: fields.get("bwd_weight_grad_tile_size")?,
        disable_channelwise_axes: fields.get("disable_channelwise_axes")?.unwrap_or(false),
        bwd_stochastic_rounding: fields.get::<Rounding>("bwd_stochastic_rounding")?.map(|rounding| rounding.0),
        channelwise_noise_axes: fields.get("channelwise_noise_axes")?.unwrap_or(default.channelwise_noise_axes),
    };
    match rule.path_regex() {
        Ok(_) => Ok(rule),
        Err(error) => Err(source.error(table.get("module_path").map_or(place, |v: &Spanned<_>| v.span().start), error)),
    }
}

impl Field for TileSize {
    const WHAT: &'static str = "a whole number from 1 up or a fraction between 0 and 1";
    fn read(value: &DeValue<'_>) -> Option<TileSize> {
        if value.is_integer() {
            return usize::read(value).map(TileSize::Elements);
        }
        f64::read(value).filter(|part| 0.0 < *part && *part <= 1.0).map(TileSize::Fraction)
    }
}

struct Rounding(String);

impl Field for Rounding {
    const WHAT: &'static str = "\"uniform\" or \"low_bit_uniform\"";
    fn read(value: &DeValue<'_>) -> Option<Rounding> {
        String::read(value).filter(|name| name == "uniform" || name == "low_bit_uniform").map(Rounding)
    }
}
