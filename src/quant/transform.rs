//! The transform: a program in, the same program with its products in low precision out. Knows nothing of layers.

use std::collections::BTreeSet;

use spiq_hlo::{Function, Node, Tensor, Violation};

use super::calibration::Method;
use super::numerics::Numerics;
use super::operand::Operand;
use super::product::{Product, Side};
use super::qtensor::{How, QTensor, tile_count};
use super::qtype::QType;
use super::report::{Report, Row};
use super::rule::{Rule, Rules};
use super::straight_through::straight_through;
use crate::config::nearest;
use crate::error::{Error, ErrorKind, Result};

/// What becomes of gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Quantization-aware training: gradients pass straight through the rounding.
    Qat,
    /// Post-training quantization: the same forward values, no gradients.
    Ptq,
}

/// A quantized program, and what was done to it.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The program, with the parameters and results of the original.
    pub function: Function,
    /// What became of each operation. qwix has no such table.
    pub report: Report,
}

/// Quantizes the operations that `rules` choose, inside loops too. qwix: `quantize_model`.
///
/// `is_weight` says of each of the function's parameters, by name, whether it is a weight; an operand computed from
/// weights alone is one too, and is quantized once, outside of any loop. The first rule that matches an operation's
/// module path and name decides; one without `weight_qtype` leaves the operation alone. `numerics` says what to do where
/// qwix's results are not what its rules say.
///
/// # Errors
/// Of kind `Input`: a rule that decides on nothing (naming the nearest paths), an axis that tiles do not fit.
pub fn quantize(
    function: &Function,
    rules: &Rules,
    mode: Mode,
    numerics: Numerics,
    is_weight: impl Fn(&str) -> bool,
) -> Result<Quantized> {
    let mut pass = Pass { rules, mode, numerics, is_weight: &is_weight, report: Report::default() };
    let quantized = function.transform(&mut |node, operands| pass.visit(node, operands));
    let function = quantized.map_err(|e| Error::new(ErrorKind::Input, e.to_string()))?;
    check_used(rules, &pass.report)?;
    Ok(Quantized { function, report: pass.report })
}

struct Pass<'a> {
    rules: &'a Rules,
    mode: Mode,
    numerics: Numerics,
    is_weight: &'a dyn Fn(&str) -> bool,
    report: Report,
}

impl Pass<'_> {
    fn visit(&mut self, node: &Node, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        let product = Product::of(&*node.op)?;
        let quantizable = operands.iter().all(|t| t.dtype().is_float() && !t.is_poison());
        if !quantizable {
            return None;
        }
        let index = self.rules.find(&node.scope, product.name());
        let rule = index.map(|i| self.rules.get(i)).filter(|r| r.weight.is_some());
        let [lhs, rhs] = [(Side::Left, &operands[0]), (Side::Right, &operands[1])]
            .map(|(side, operand)| self.operand(operand, &product, side, rule));
        let result = rule.map(|_| self.replace(&product, &lhs, &rhs));
        self.report.rows.push(Row::new(&node.scope, &product, index, [&lhs, &rhs]));
        result.map(|t| vec![t])
    }

    fn replace(&self, product: &Product, lhs: &Operand, rhs: &Operand) -> Tensor {
        let shifted = |o: &Operand| o.q().is_some_and(|q| q.zero_point.is_some());
        if shifted(lhs) && shifted(rhs) {
            let message = "both sides have a zero point; use a symmetric calibration method for one of them";
            return lhs.original.graph().fail("quantize", Violation::new("", message));
        }
        match self.mode {
            Mode::Qat => straight_through(product, lhs, rhs, self.numerics),
            Mode::Ptq => product.forward(lhs, rhs),
        }
    }

    /// An operand with its quantized form.
    fn operand(&self, operand: &Tensor, product: &Product, side: Side, rule: Option<&Rule>) -> Operand {
        let sources: BTreeSet<String> = operand.sources();
        let is_weight = !sources.is_empty() && sources.iter().all(|name| (self.is_weight)(name));
        let chosen = rule.and_then(|r| if is_weight { r.weight } else { r.act }.map(|chosen| (r, chosen)));
        let quantized = chosen.and_then(|(rule, chosen)| quantize_side(operand, product, side, rule, chosen));
        Operand { original: operand.clone(), quantized, is_weight }
    }
}

fn quantize_side(
    operand: &Tensor,
    product: &Product,
    side: Side,
    rule: &Rule,
    (qtype, method): (QType, Method),
) -> Option<(QTensor, Method)> {
    let refuse = |message: String| {
        operand.graph().fail("quantize", Violation::new("", format!("{}: {message}", operand.ty())));
    };
    let tiles = match (rule.tile_size, product.tiled_axis(side)) {
        (Some(_), None) => {
            let remedy = match qtype.tile() {
                Some(_) => format!("choose a type for its rule that has none, unlike {qtype}"),
                None => "leave tile_size out of its rule".to_owned(),
            };
            refuse(format!("{} has no axis to cut into tiles; {remedy}", product.name()));
            return None;
        }
        (Some(tile), Some(axis)) => match tile_count(operand.dims()[axis], tile) {
            Ok(count) => Some((axis, count)),
            Err(message) => {
                refuse(message);
                return None;
            }
        },
        (None, _) => None,
    };
    let channelwise = match rule.config.disable_channelwise_axes {
        true => Vec::new(),
        false => product.channels(side, operand.rank()),
    };
    let how = How { qtype, method, channelwise, tiles };
    Some((QTensor::quantize(&operand.stop_gradient(), &how), method))
}

/// A rule that decides on nothing is a mistake in its path: say so, and which paths there are.
fn check_used(rules: &Rules, report: &Report) -> Result<()> {
    let unused = (0..rules.len()).find(|&i| !report.rows.iter().any(|row| row.rule == Some(i + 1)));
    let Some(index) = unused else { return Ok(()) };
    let rule = rules.get(index);
    let named = &rule.config.module_path;
    if let Some(row) = report.rows.iter().find(|row| rule.matches(&row.path, row.op)) {
        let earlier = row.rule.unwrap_or_default();
        return Err(Error::input(format!(
            "rule {} (module_path `{named}`) is never reached: rule {earlier} comes first and matches all it would",
            index + 1
        )));
    }
    let mut paths: Vec<&str> = report.rows.iter().map(|row| row.path.as_str()).collect();
    paths.dedup();
    let hint = match nearest(named, paths.iter().copied()) {
        Some(path) => format!("; the nearest path is `{path}`"),
        None => String::new(),
    };
    Err(Error::input(format!(
        "rule {} (module_path `{named}`) matches no operation{hint} (paths with operations to quantize: {})",
        index + 1,
        paths.join(", ")
    )))
}
