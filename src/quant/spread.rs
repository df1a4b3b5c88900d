//! Weights that a layer spreads over a larger matrix before it multiplies with them, as over the lags of a delay: they are rounded
//! where they are parameters, so that a scale is that of the weights and not of the zeros between them.

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
    /// Whether each weight stays whole, at one place of the matrix; else parts of it stand at several, as while delays are learned.
    whole: bool,
}

impl Spread {
    /// Parameters at these paths.
    pub(crate) fn new(paths: BTreeSet<String>, whole: bool) -> Spread {
        Spread { paths, whole }
    }

    /// A parameter as its product sees it: rounded by the rule for the products of its layer, where there is one that can. The
    /// gradient passes straight through.
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

    /// How an operand of these sources is quantized by a rule, where a spread weight is among them: `None` where it is rounded
    /// already and stays so.
    pub(super) fn chosen(&self, sources: &BTreeSet<String>, rule: &Rule) -> Option<(QType, Method)> {
        match rule.weight {
            // Rounded weights at their places are integers times their scale, which the largest of them tells.
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

/// Whether rounding by this rule is known again from the rounded weights: zero stays zero, and the largest is the largest integer.
fn keeps(rule: &Rule) -> bool {
    let known = match rule.weight {
        Some((QType::Int(_), method)) => method == Method::Absmax(1.0),
        Some((QType::Ternary, _)) => true,
        _ => false,
    };
    known && rule.tile_size.is_none()
}
