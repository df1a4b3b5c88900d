//! Rules, ready to match: compiled paths, parsed types and methods. Knows nothing of graphs.

use regex::Regex;

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
        for (field, set) in [
            ("act_static_scale", config.act_static_scale == Some(true)),
            ("bwd_qtype", config.bwd_qtype.is_some()),
            ("bwd_stochastic_rounding", config.bwd_stochastic_rounding.is_some()),
        ] {
            if set {
                return Err(Error::input(format!("{field} is not supported yet; leave it out")));
            }
        }
        let side = |qtype: &Option<String>, method: &str| -> Result<Option<(QType, Method)>> {
            let Some(name) = qtype else { return Ok(None) };
            let (qtype, method) = (QType::parse(name)?, Method::parse(method)?);
            if method.is_asymmetric() && !qtype.has_zero_point() {
                return Err(Error::input(format!("{qtype} has no zero point, so use a symmetric method like absmax")));
            }
            Ok(Some((qtype, method)))
        };
        let act_method = config.act_calibration_method.as_deref().unwrap_or("absmax");
        Ok(Rule {
            path: config.path_regex()?,
            weight: side(&config.weight_qtype, &config.weight_calibration_method)?,
            act: side(&config.act_qtype, act_method)?,
            tile_size: config.tile_size,
            config: config.clone(),
        })
    }

    pub(crate) fn matches(&self, path: &str, op: &str) -> bool {
        let named = self.config.op_names.is_empty() || self.config.op_names.iter().any(|name| name == op);
        named && self.path.is_match(path)
    }
}

/// One rule for all dot products and convolutions, weights and activations alike. Spyx: `linear_only_rules`.
pub fn linear_only_rules(weight_qtype: &str, act_qtype: &str) -> Vec<RuleConfig> {
    let rule = RuleConfig {
        op_names: Product::NAMES.map(str::to_owned).to_vec(),
        weight_qtype: Some(weight_qtype.into()),
        act_qtype: Some(act_qtype.into()),
        ..RuleConfig::default()
    };
    vec![rule]
}

/// One rule for the weights of all dot products and convolutions; activations stay as they are. Spyx: `weights_only_rules`.
pub fn weights_only_rules(weight_qtype: &str) -> Vec<RuleConfig> {
    let rule = RuleConfig {
        op_names: Product::NAMES.map(str::to_owned).to_vec(),
        weight_qtype: Some(weight_qtype.into()),
        ..RuleConfig::default()
    };
    vec![rule]
}
