//! One rule, validated and compiled: a path, types, methods. Invariant: does not depend on graphs.

use regex::Regex;

use super::backward_rule::BackwardRule;
use super::calibration::Method;
use super::product::Product;
use super::qtype::QType;
use super::refusal::Refusal;
use crate::config::{RuleConfig, TileSize};

/// One rule, validated.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The rule as written.
    pub(crate) config: RuleConfig,
    path: Regex,
    pub(crate) weight: Option<(QType, Method)>,
    pub(crate) act: Option<(QType, Method)>,
    pub(crate) tile_size: Option<TileSize>,
    /// How gradients are quantized; `None` leaves them unquantized.
    pub(crate) backward: Option<BackwardRule>,
}

impl Rule {
    /// Validates and compiles a rule.
    ///
    /// # Errors
    /// A path that is not a regular expression, an unknown type, method, noise or operation, or fields that conflict.
    pub(super) fn new(config: &RuleConfig) -> Result<Rule, Refusal> {
        if let Some(op) = config.op_names.iter().find(|op| !Product::NAMES.contains(&op.as_str())) {
            let known = Product::NAMES.join(", ");
            let message = format!("op_names: operation `{op}` cannot be quantized (known: {known})");
            return Err(Refusal::of("op_names", message));
        }
        let path = path_regex(&config.module_path)?;
        check_read(config)?;
        let weight = side(
            ("weight_qtype", config.weight_qtype.as_deref()),
            ("weight_calibration_method", &config.weight_calibration_method),
        )?;
        let act_method = config.act_calibration_method.as_deref().unwrap_or("absmax");
        let act = side(("act_qtype", config.act_qtype.as_deref()), ("act_calibration_method", act_method))?;
        let moves = act.is_none_or(|(qtype, method)| qtype != QType::Binary && !method.is_fixed());
        if config.act_static_scale == Some(true) && !moves {
            return Err(Refusal::of(
                "act_static_scale",
                "act_static_scale averages ranges, but the range of these activations is constant; leave it out",
            ));
        }
        let tile_size = tile_size(config.tile_size, [weight, act].map(|side| side.map(|(qtype, _)| qtype)))?;
        Ok(Rule { path, tile_size, weight, act, backward: BackwardRule::new(config)?, config: config.clone() })
    }

    /// The axes over which an activation's statistics are averaged; `None` if each call computes its own range.
    pub(crate) fn static_axes(&self) -> Option<&[i64]> {
        (self.config.act_static_scale == Some(true)).then_some(self.config.act_batch_axes.as_slice())
    }

    /// Whether gradients are rounded stochastically.
    pub(crate) fn is_random(&self) -> bool {
        self.weight.is_some() && self.backward.as_ref().is_some_and(|rule| rule.noise.is_some())
    }

    pub(crate) fn matches(&self, path: &str, op: &str) -> bool {
        let named = self.config.op_names.is_empty() || self.config.op_names.iter().any(|name| name == op);
        named && self.path.is_match(path)
    }
}

/// `module_path`, compiled so that it only matches whole paths.
fn path_regex(path: &str) -> Result<Regex, Refusal> {
    // First compiled alone: inside the anchors, an expression with unbalanced parentheses could become valid.
    let compiled = Regex::new(path).and_then(|_| Regex::new(&format!(r"\A(?:{path})\z")));
    compiled.map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit("error: ").next().unwrap_or(&text).trim().replace('\n', " ");
        Refusal::of("module_path", format!("the module_path `{path}` is not a regular expression: {reason}"))
    })
}

/// The type and method of one side, each given with its field.
fn side(
    (of_type, qtype): (&'static str, Option<&str>),
    (of_method, method): (&'static str, &str),
) -> Result<Option<(QType, Method)>, Refusal> {
    let method = Method::of_field(of_method, method)?;
    let Some(qtype) = QType::of_field(of_type, qtype)? else { return Ok(None) };
    let method = method.beside(qtype).map_err(|error| Refusal::of(of_method, error))?;
    Ok(Some((qtype, method)))
}

/// Refuses fields without effect because the field they depend on is missing; qwix ignores them.
fn check_read(config: &RuleConfig) -> Result<(), Refusal> {
    let default = RuleConfig::default();
    let is_static = config.act_static_scale == Some(true);
    let weights = "a weight_qtype: a rule without one leaves its operations unchanged";
    let activations = "an act_qtype, the type of the activations";
    let backward = "a bwd_qtype, the type of the gradients";
    let (weight, act) = (config.weight_qtype.is_some(), config.act_qtype.is_some());
    let (gradients, noise) = (config.bwd_qtype.is_some(), config.bwd_stochastic_rounding.is_some());
    let fields = [
        ("act_qtype", act, weight, weights),
        ("bwd_qtype", gradients, weight, weights),
        ("tile_size", config.tile_size.is_some(), weight, weights),
        ("disable_channelwise_axes", config.disable_channelwise_axes, weight, weights),
        (
            "weight_calibration_method",
            config.weight_calibration_method != default.weight_calibration_method,
            weight,
            weights,
        ),
        ("act_static_scale", is_static, act, activations),
        ("act_calibration_method", config.act_calibration_method.is_some(), act, activations),
        ("act_batch_axes", config.act_batch_axes != default.act_batch_axes, is_static, "act_static_scale = true"),
        (
            "bwd_calibration_method",
            config.bwd_calibration_method != default.bwd_calibration_method,
            gradients,
            backward,
        ),
        ("bwd_weight_grad_tile_size", config.bwd_weight_grad_tile_size.is_some(), gradients, backward),
        ("bwd_stochastic_rounding", noise, gradients, backward),
        (
            "channelwise_noise_axes",
            config.channelwise_noise_axes != default.channelwise_noise_axes,
            noise,
            "bwd_stochastic_rounding, whose noise it describes",
        ),
    ];
    match fields.iter().find(|(_, is_set, is_read, _)| *is_set && !is_read) {
        Some((field, _, _, needed)) => Err(Refusal::of(field, format!("{field} needs {needed}"))),
        None => Ok(()),
    }
}

/// The tile size of both sides: that of a type with built-in tiles, if any. Spyx fills in the same values for its presets.
fn tile_size(given: Option<TileSize>, qtypes: [Option<QType>; 2]) -> Result<Option<TileSize>, Refusal> {
    let refuse = |message: String| Err(Refusal::of("tile_size", message));
    qtypes.into_iter().flatten().try_fold(given, |tiles, qtype| match (tiles, qtype.tile()) {
        (_, None) => Ok(tiles),
        (None, Some(size)) => Ok(Some(TileSize::Elements(size))),
        (Some(TileSize::Elements(given)), Some(size)) if given == size => Ok(tiles),
        (Some(TileSize::Elements(other)), Some(size)) => refuse(format!(
            "{qtype} consists of tiles of {size}, but the rule's tile_size, or its other type, makes them {other}"
        )),
        (Some(TileSize::Fraction(_)), Some(size)) => {
            refuse(format!("{qtype} consists of tiles of {size}; leave tile_size out"))
        }
    })
}
