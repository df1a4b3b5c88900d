//! The transform: a program in, the same program with its dot products in low precision out. Knows nothing of layers.

use std::collections::BTreeSet;

use spiq_hlo::{DotGeneral, Function, Node, Tensor, Violation};

use super::calibration::Method;
use super::dot::{Operand, forward, straight_through};
use super::qtensor::{How, QTensor, tile_count};
use super::qtype::QType;
use super::report::{Report, Row, Side};
use super::rule::{Rule, Rules};
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
/// module path and name decides; one without `weight_qtype` leaves the operation alone.
///
/// # Errors
/// Of kind `Input`: a rule that decides on nothing (naming the nearest paths), an axis that tiles do not fit.
pub fn quantize(function: &Function, rules: &Rules, mode: Mode, is_weight: impl Fn(&str) -> bool) -> Result<Quantized> {
    let mut pass = Pass { rules, mode, is_weight: &is_weight, report: Report::default() };
    let quantized = function.transform(&mut |node, operands| pass.visit(node, operands));
    let function = quantized.map_err(|e| Error::new(ErrorKind::Input, e.to_string()))?;
    check_used(rules, &pass.report)?;
    Ok(Quantized { function, report: pass.report })
}

struct Pass<'a> {
    rules: &'a Rules,
    mode: Mode,
    is_weight: &'a dyn Fn(&str) -> bool,
    report: Report,
}

impl Pass<'_> {
    fn visit(&mut self, node: &Node, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        let dot = node.op.downcast::<DotGeneral>()?;
        let quantizable = operands.iter().all(|t| t.dtype().is_float() && !t.is_poison());
        if !quantizable {
            return None;
        }
        let index = self.rules.find(&node.scope, node.op.name());
        let rule = index.map(|i| self.rules.get(i)).filter(|r| r.weight.is_some());
        let contract = [&dot.dims.lhs_contract, &dot.dims.rhs_contract];
        let sides = [0, 1].map(|i| self.side(&operands[i], contract[i], rule));
        let result = rule.map(|_| self.replace(&sides, dot));
        self.report.rows.push(row(node, index, &sides));
        result.map(|t| vec![t])
    }

    fn replace(&self, sides: &[(Operand, bool); 2], dot: &DotGeneral) -> Tensor {
        let [(lhs, _), (rhs, _)] = sides;
        let shifted = |o: &Operand| o.quantized.as_ref().is_some_and(|(q, _)| q.zero_point.is_some());
        if shifted(lhs) && shifted(rhs) {
            let message = "both sides have a zero point; use a symmetric calibration method for one of them";
            return lhs.original.graph().fail("quantize", Violation::new("", message));
        }
        match self.mode {
            Mode::Qat => straight_through(lhs, rhs, &dot.dims, dot.out),
            Mode::Ptq => forward(lhs, rhs, &dot.dims, dot.out),
        }
    }

    /// An operand with its quantized form, and whether it is a weight.
    fn side(&self, operand: &Tensor, contract: &[usize], rule: Option<&Rule>) -> (Operand, bool) {
        let sources: BTreeSet<String> = operand.sources();
        let is_weight = !sources.is_empty() && sources.iter().all(|name| (self.is_weight)(name));
        let chosen = rule.and_then(|r| if is_weight { r.weight } else { r.act }.map(|(q, m)| (r, q, m)));
        let quantized = chosen.and_then(|(rule, qtype, method)| quantize_side(operand, contract, rule, qtype, method));
        (Operand { original: operand.clone(), quantized }, is_weight)
    }
}

fn quantize_side(
    operand: &Tensor,
    contract: &[usize],
    rule: &Rule,
    qtype: QType,
    method: Method,
) -> Option<(QTensor, Method)> {
    let last = *contract.last()?;
    let tiles = match rule.tile_size.map(|tile| tile_count(operand.dims()[last], tile)) {
        Some(Ok(count)) => Some((last, count)),
        Some(Err(message)) => {
            operand.graph().fail("quantize", Violation::new("", format!("{}: {message}", operand.ty())));
            return None;
        }
        None => None,
    };
    let free = |axis: &usize| !contract.contains(axis) && !rule.config.disable_channelwise_axes;
    let channelwise = (0..operand.rank()).filter(free).collect();
    let how = How { qtype, method, channelwise, tiles };
    Some((QTensor::quantize(&operand.stop_gradient(), &how), method))
}

fn row(node: &Node, rule: Option<usize>, sides: &[(Operand, bool); 2]) -> Row {
    let dtype = |o: &Operand| o.quantized.as_ref().map(|(q, _)| q.values.dtype());
    let side = |(operand, is_weight): &(Operand, bool)| {
        let quantized = operand.quantized.as_ref().map(|(q, _)| q);
        let scale = quantized.map(|q| format!("{:?}", q.scale.dims()).replace(' ', ""));
        Side {
            from: operand.original.ty().to_string(),
            qtype: quantized.map(|q| q.qtype.to_string()),
            scale: scale.unwrap_or_default(),
            is_weight: *is_weight,
        }
    };
    let became = match (dtype(&sides[0].0), dtype(&sides[1].0)) {
        (Some(l), Some(r)) if l.is_integer() && r.is_integer() => format!("{l} x {r} -> s32"),
        (Some(l), Some(r)) => format!("{l} x {r} -> f32"),
        (None, None) => "as it was".to_owned(),
        _ => "dequantized, then float".to_owned(),
    };
    let sides = [side(&sides[0]), side(&sides[1])];
    Row { path: node.scope.to_string(), op: "dot_general", rule: rule.map(|i| i + 1), sides, became }
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
