//! Rules, ready to match: compiled paths, parsed types and methods. Knows nothing of graphs.

use regex::Regex;

use super::backward::BackwardRule;
use super::calibration::Method;
use super::product::Product;
use super::qtype::QType;
use crate::config::{RuleConfig, TileSize};
use crate::error::{Error, Result};

/// One rule, checked.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) config: RuleConfig,
    path: Regex,
    pub(crate) weight: Option<(QType, Method)>,
    pub(crate) act: Option<(QType, Method)>,
    pub(crate) tile_size: Option<TileSize>,
    /// How gradients are quantized; `None` leaves them as they are.
    pub(crate) backward: Option<BackwardRule>,
}

/// A list of rules; the first that matches an operation decides on it.
///
/// ```
/// use spiq::quant::{Rules, linear_only_rules};
/// let rules = Rules::new(&linear_only_rules("int8", "int8"))?;
/// assert_eq!(rules.len(), 1);
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Checks rules and compiles their paths.
    ///
    /// # Errors
    /// Of kind `Input`, naming the rule: a path that is no regular expression, an unknown type, method or operation, a
    /// field that is not supported yet.
    pub fn new(configs: &[RuleConfig]) -> Result<Rules> {
        let rule = |(number, config): (usize, &RuleConfig)| {
            Rule::new(config).map_err(|e| Error::input(format!("rule {number}: {e}")))
        };
        Ok(Rules((1..).zip(configs).map(rule).collect::<Result<_>>()?))
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no rule: nothing is quantized.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> &Rule {
        &self.0[index]
    }

    /// Index of the first rule for an operation under a path.
    pub(crate) fn find(&self, path: &str, op: &str) -> Option<usize> {
        self.0.iter().position(|rule| rule.matches(path, op))
    }
}

impl Rule {
    fn new(config: &RuleConfig) -> Result<Rule> {
        if let Some(op) = config.op_names.iter().find(|op| !Product::NAMES.contains(&op.as_str())) {
            return Err(Error::input(format!(
                "op_names: no operation `{op}` is quantized (known: {})",
                Product::NAMES.join(", ")
            )));
        }
        let side = |qtype: &Option<String>, method: &str| -> Result<Option<(QType, Method)>> {
            let Some(name) = qtype else { return Ok(None) };
            calibrated(name, method).map(Some)
        };
        check_read(config)?;
        let act_method = config.act_calibration_method.as_deref().unwrap_or("absmax");
        let weight = side(&config.weight_qtype, &config.weight_calibration_method)?;
        let act = side(&config.act_qtype, act_method)?;
        let moves = act.is_none_or(|(qtype, method)| qtype != QType::Binary && !method.is_fixed());
        if config.act_static_scale == Some(true) && !moves {
            return Err(Error::input(
                "act_static_scale averages ranges, but that of the activations is the same for all; leave it out",
            ));
        }
        Ok(Rule {
            path: config.path_regex()?,
            tile_size: tile_size(config.tile_size, [weight, act].map(|side| side.map(|(qtype, _)| qtype)))?,
            weight,
            act,
            backward: BackwardRule::new(config)?,
            config: config.clone(),
        })
    }

    /// The axes over which an activation's statistics are averaged; `None` where each call has its own range.
    pub(crate) fn static_axes(&self) -> Option<&[i64]> {
        (self.config.act_static_scale == Some(true)).then_some(self.config.act_batch_axes.as_slice())
    }

    /// Whether gradients are rounded at random.
    pub(crate) fn is_random(&self) -> bool {
        self.weight.is_some() && self.backward.as_ref().is_some_and(|rule| rule.noise.is_some())
    }

    pub(crate) fn matches(&self, path: &str, op: &str) -> bool {
        let named = self.config.op_names.is_empty() || self.config.op_names.iter().any(|name| name == op);
        named && self.path.is_match(path)
    }
}

/// Refuses fields that nothing would read, because the field that they belong to is not there; qwix passes over them.
fn check_read(config: &RuleConfig) -> Result<()> {
    let default = RuleConfig::default();
    let is_static = config.act_static_scale == Some(true);
    let weights = "a weight_qtype: a rule without one leaves its operations as they are";
    let activations = "an act_qtype, the type of the activations";
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
            "a bwd_qtype, the type of the gradients",
        ),
        (
            "channelwise_noise_axes",
            config.channelwise_noise_axes != default.channelwise_noise_axes,
            noise,
            "bwd_stochastic_rounding, whose noise it is about",
        ),
    ];
    match fields.iter().find(|(_, is_set, is_read, _)| *is_set && !is_read) {
        Some((field, _, _, needed)) => Err(Error::input(format!("{field} needs {needed}"))),
        None => Ok(()),
    }
}

/// The tiles of both sides: those that a type consists of, where one does. Spyx fills in the same for its presets.
fn tile_size(given: Option<TileSize>, qtypes: [Option<QType>; 2]) -> Result<Option<TileSize>> {
    qtypes.into_iter().flatten().try_fold(given, |tiles, qtype| match (tiles, qtype.tile()) {
        (_, None) => Ok(tiles),
        (None, Some(size)) => Ok(Some(TileSize::Elements(size))),
        (Some(TileSize::Elements(given)), Some(size)) if given == size => Ok(tiles),
        (Some(TileSize::Elements(other)), Some(size)) => Err(Error::input(format!(
            "{qtype} consists of tiles of {size}, but the rule's tile_size, or its other type, makes them {other}"
        ))),
        (Some(TileSize::Fraction(_)), Some(size)) => {
            Err(Error::input(format!("{qtype} consists of tiles of {size}; leave tile_size out")))
        }
    })
}

/// A type and a method that go together.
pub(super) fn calibrated(qtype: &str, method: &str) -> Result<(QType, Method)> {
    let qtype = QType::parse(qtype)?;
    Ok((qtype, Method::parse(method)?.beside(qtype)?))
}
