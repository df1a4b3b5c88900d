//! Weights that a layer spreads over a larger matrix before multiplying, for example over the lags of a delay. They are rounded as
//! parameters, so that scales come from the weights and not from the zeros between them.

use std::collections::BTreeSet;

use spiq_hlo::{Tensor, custom_vjp};

use super::calibration::Method;
use super::qtensor::{How, QTensor};
use super::qtype::QType;
use super::rule::Rule;
use super::rules::Rules;

/// The parameters of a program that are spread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    paths: BTreeSet<String>,
    /// Whether each weight is at a single position of the matrix; else it is distributed over several, as while delays are learned.
    whole: bool,
}

impl Spread {
    /// Parameters at these paths.
    pub(crate) fn new(paths: BTreeSet<String>, whole: bool) -> Spread {
        Spread { paths, whole }
    }

    /// A parameter as its product uses it: rounded by the rule for its layer's products, if that rule can be applied early. The gradient
    /// passes straight through.
    pub(super) fn rounded(&self, path: &str, weight: Tensor, rules: &Rules) -> Tensor {
        let layer = path.rsplit_once('/').map_or("", |(layer, _)| layer);
        let rule = rules.find(layer, "dot_general").map(|i| rules.get(i));
        let Some((rule, (qtype, method))) = rule.and_then(|rule| Some((rule, rule.weight.filter(|_| keeps(rule))?)))
        else {
            return weight;
        };
        let last = weight.rank().saturating_sub(1);
        let channelwise = if rule.config.disable_channelwise_axes { Vec::new() } else { vec![last] };
        let how = How { qtype, method, channelwise, tiles: None };
        custom_vjp(
            "rounded_weight",
            &weight,
            |weight: &Tensor| {
                let range = QTensor::calibrate(weight, &how);
                QTensor::with_range(weight, &how, range, None).dequantize()
            },
            |_, _, ct: &Tensor| ct.clone(),
        )
    }

    /// How a rule quantizes an operand of these sources if it contains a spread weight: `None` if it is already rounded and stays so.
    pub(super) fn chosen(&self, sources: &BTreeSet<String>, rule: &Rule) -> Option<(QType, Method)> {
        match rule.weight {
            // Rounded weights at single positions are integers times their scale, which follows from the largest one.
            Some((qtype, _)) if self.is_among(sources) && keeps(rule) => {
                self.whole.then_some((qtype, Method::Absmax(1.0)))
            }
            chosen => chosen,
        }
    }

    fn is_among(&self, sources: &BTreeSet<String>) -> bool {
        sources.iter().any(|path| self.paths.contains(path))
    }

    /// Whether a parameter is spread.
    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }
}

/// Whether rounding again by this rule reproduces the rounded weights: zero stays zero, and the largest weight is the largest integer.
fn keeps(rule: &Rule) -> bool {
    let known = match rule.weight {
        Some((QType::Int(_), method)) => method == Method::Absmax(1.0),
        Some((QType::Ternary, _)) => true,
        _ => false,
    };
    known && rule.tile_size.is_none()
}
