//! The transform: rewrites a program's products in low precision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spiq_hlo::{DType, Function, Graph, Node, Tensor, TensorType, Violation};

use super::backward::Backward;
use super::backward_rule::BackwardRule;
use super::calibration::Method;
use super::numerics::{Arithmetic, Gradients, Numerics};
use super::operand::Operand;
use super::product::{Product, Side};
use super::qtensor::{How, QTensor, tile_count};
use super::qtype::QType;
use super::report::{Report, Row};
use super::rounding::as_float;
use super::rule::Rule;
use super::rules::Rules;
use super::spread::Spread;
use super::statistics::Statistics;
use super::stored::mark;
use super::straight_through::straight_through;
use crate::error::{Error, ErrorKind, Result};
use crate::fields::nearest;
use crate::random::GraphKey;

/// The name of the parameter for the noise key.
pub(crate) const NOISE_KEY: &str = "noise_key";

/// How gradients are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Quantization-aware training: gradients pass straight through the rounding.
    Qat,
    /// Post-training quantization: the same forward values, no gradients.
    Ptq,
}

/// A quantized program and a report of the changes.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The program, with the parameters and results of the original. If [`noise_key`](Quantized::noise_key) is set, it has one additional,
    /// trailing parameter.
    pub function: Function,
    /// Whether a rule rounds gradients stochastically. The last parameter is then the noise key `u32[2]`: the i-th operation that draws
    /// noise uses `fold_in(key, i)`.
    pub noise_key: bool,
    /// How each operation was quantized. qwix has no such table.
    pub report: Report,
}

/// Quantizes the operations that `rules` select, including those inside loops. qwix: `quantize_model`.
///
/// `is_weight` reports for each of the function's parameters, by name, whether it is a weight; an operand computed only from weights is
/// also a weight, and is quantized once, outside of any loop. The first rule that matches an operation's module path and name applies; one
/// without `weight_qtype` leaves the operation unchanged. `arithmetic` selects the behaviour where qwix's results differ from its rules,
/// and the precision of products in the backward pass, also for operations that no rule selects.
///
/// For rules with a static scale, the program holds running sums (`Function::keep_sums` makes them state):
/// `quant_stats/core/layers/0/dot_general0_lhs` holds the number of calls and the sums of the observed ranges for the left side of the
/// first such operation of the module `core/layers/0`.
///
/// # Errors
/// Of kind `Input`: a rule that applies to nothing (naming the nearest paths), an axis that tiles do not fit.
pub fn quantize(
    function: &Function,
    rules: &Rules,
    mode: Mode,
    arithmetic: impl Into<Arithmetic>,
    is_weight: impl Fn(&str) -> bool,
) -> Result<Quantized> {
    quantize_with(function, rules, mode, arithmetic, is_weight, &Spread::default())
}

/// [`quantize`] for a function with weights that are spread before their product.
pub(crate) fn quantize_with(
    function: &Function,
    rules: &Rules,
    mode: Mode,
    arithmetic: impl Into<Arithmetic>,
    is_weight: impl Fn(&str) -> bool,
    spread: &Spread,
) -> Result<Quantized> {
    let graph = Graph::new();
    let declare = |(name, ty): (&String, TensorType)| {
        let input = graph.input(name.as_str(), ty);
        if spread.has(name) { spread.rounded(name, input, rules) } else { input }
    };
    let inputs: Vec<Tensor> = function.input_names().iter().zip(function.input_types()).map(declare).collect();
    let noise_key = mode == Mode::Qat && (0..rules.len()).any(|i| rules.get(i).is_random());
    let key = noise_key.then(|| GraphKey::new(&graph.input(NOISE_KEY, TensorType::new(DType::U32, [2]))));
    let mut pass = Pass {
        rules,
        mode,
        arithmetic: arithmetic.into(),
        is_weight: &is_weight,
        spread,
        report: Report::default(),
        key,
        drawn: 0,
        numbers: BTreeMap::new(),
        stored: BTreeSet::new(),
    };
    let results = function.rewrite(&graph, &inputs, &mut |node, operands| pass.visit(node, operands));
    let quantized = graph.finish(&results);
    let function = quantized.map_err(|e| Error::new(ErrorKind::Input, e.to_string()))?;
    check_used(rules, &pass.report)?;
    Ok(Quantized { function, noise_key, report: pass.report })
}

struct Pass<'a> {
    rules: &'a Rules,
    mode: Mode,
    arithmetic: Arithmetic,
    is_weight: &'a dyn Fn(&str) -> bool,
    spread: &'a Spread,
    report: Report,
    /// The noise key, and the number of operations that have drawn from it so far.
    key: Option<GraphKey>,
    drawn: u32,
    /// Number of operations of each name so far, by module path.
    numbers: BTreeMap<(Arc<str>, &'static str), usize>,
    /// Paths of the stored weights.
    stored: BTreeSet<String>,
}

/// The position of an operand.
struct Place<'a> {
    product: &'a Product,
    side: Side,
    /// `core/layers/0/dot_general0_lhs`, as in qwix.
    path: String,
}

impl Pass<'_> {
    fn visit(&mut self, node: &Node, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        let product = Product::of(&*node.op)?;
        let id = self.id(node, &product);
        let is_usable = |t: &Tensor| !t.is_poison() && (t.dtype().is_float() || t.dtype() == DType::Pred);
        let quantizable = operands.iter().all(is_usable) && operands.iter().any(|t| t.dtype().is_float());
        if !quantizable {
            return None;
        }
        let index = self.rules.find(&node.scope, product.name());
        let rule = index.map(|i| self.rules.get(i)).filter(|r| r.weight.is_some());
        let [lhs, rhs] =
            [(Side::Left, &operands[0], "lhs"), (Side::Right, &operands[1], "rhs")].map(|(side, operand, name)| {
                let place = Place { product: &product, side, path: format!("{id}_{name}") };
                self.operand(operand, &place, rule)
            });
        let narrow = self.mode == Mode::Qat && self.arithmetic.gradients != Gradients::Full;
        let result = (rule.is_some() || narrow).then(|| self.replace(&product, &lhs, &rhs, rule));
        self.report.rows.push(Row::new(&node.scope, &product, index, [&lhs, &rhs]));
        result.map(|t| vec![t])
    }

    /// A name for the operation, such as `core/layers/0/dot_general0` for the first one of that module.
    fn id(&mut self, node: &Node, product: &Product) -> String {
        let count = self.numbers.entry((node.scope.clone(), product.name())).or_default();
        let number = std::mem::replace(count, *count + 1);
        let scope = if node.scope.is_empty() { String::new() } else { format!("{}/", node.scope) };
        format!("{scope}{}{number}", product.name())
    }

    fn replace(&mut self, product: &Product, lhs: &Operand, rhs: &Operand, rule: Option<&Rule>) -> Tensor {
        let shifted = |o: &Operand| o.q().is_some_and(|q| q.zero_point.is_some());
        if shifted(lhs) && shifted(rhs) {
            let message = "both sides have a zero point; use a symmetric calibration method for one of them";
            return lhs.original.graph().fail("quantize", Violation::new("", message));
        }
        match self.mode {
            Mode::Qat => {
                let backward = rule.and_then(|rule| rule.backward.as_ref()).map(|rule| self.backward(rule, product));
                straight_through(product, lhs, rhs, backward.as_ref(), self.arithmetic)
            }
            Mode::Ptq => product.forward(lhs, rhs, self.arithmetic.numerics),
        }
    }

    fn backward(&mut self, rule: &BackwardRule, product: &Product) -> Backward {
        // qwix always rounds gradients of convolutions to the nearest.
        let draws =
            rule.noise.is_some() && (self.arithmetic.numerics == Numerics::Exact || matches!(product, Product::Dot(_)));
        let index = self.drawn;
        self.drawn += u32::from(draws);
        let key = self.key.as_ref().filter(|_| draws);
        let key = key.map(|key| key.fold_in(&key.graph().scalar(DType::U32, f64::from(index))));
        Backward { rule: rule.clone(), key, numerics: self.arithmetic.numerics }
    }

    /// An operand with its quantized form.
    fn operand(&mut self, operand: &Tensor, place: &Place, rule: Option<&Rule>) -> Operand {
        let sources: BTreeSet<String> = operand.sources();
        let is_weight = !sources.is_empty() && sources.iter().all(|name| (self.is_weight)(name));
        let of_rule = |r: &Rule| if is_weight { self.spread.chosen(&sources, r) } else { r.act };
        let chosen = rule.and_then(|r| of_rule(r).map(|chosen| (r, chosen)));
        let exact = chosen.filter(|_| !is_weight && self.arithmetic.numerics == Numerics::Exact);
        let exact = exact.and_then(|(_, (qtype, _))| QTensor::exact(operand, qtype));
        let quantized = match (exact, chosen) {
            (Some(exact), _) => Some((exact, Method::Absmax(1.0))),
            (None, Some((rule, chosen))) => quantize_side(operand, place, rule, chosen, is_weight),
            (None, None) => None,
        };
        let quantized = match quantized {
            Some((q, method)) if is_weight && self.mode == Mode::Ptq => {
                Some((mark(operand, q, self.stored_path(&sources, place)), method))
            }
            other => other,
        };
        Operand { original: operand.clone(), quantized, is_weight }
    }

    /// The path of a stored weight: that of its parameter, or of the operation if it has several parameters or is already stored. If
    /// several belong to one layer, `kernel` represents them, for example for a weight and its delay.
    fn stored_path(&mut self, sources: &BTreeSet<String>, place: &Place) -> String {
        let layer = |path: &str| path.rsplit_once('/').map(|(layer, _)| layer.to_owned());
        let of_one_layer =
            sources.iter().all(|path| layer(path) == layer(&sources.first().cloned().unwrap_or_default()));
        let own = match sources.len() {
            1 => sources.first(),
            _ => sources.iter().find(|path| of_one_layer && path.ends_with("/kernel")),
        };
        let path = own.filter(|path| !self.stored.contains(*path)).unwrap_or(&place.path).clone();
        self.stored.insert(path.clone());
        path
    }
}

fn quantize_side(
    operand: &Tensor,
    place: &Place,
    rule: &Rule,
    (qtype, method): (QType, Method),
    is_weight: bool,
) -> Option<(QTensor, Method)> {
    let Place { product, side, .. } = place;
    let refuse = |message: String| {
        operand.graph().fail("quantize", Violation::new("", format!("{}: {message}", operand.ty())));
    };
    let tiles = match (rule.tile_size, product.tiled_axis(*side)) {
        (Some(_), None) => {
            let remedy = match qtype.tile() {
                Some(_) => format!("choose a type without tiles for its rule instead of {qtype}"),
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
        false => product.channels(*side, operand.rank()),
    };
    let how = How { qtype, method, channelwise, tiles };
    let x = as_float(operand).stop_gradient();
    let range = QTensor::calibrate(&x, &how);
    let varies = !is_weight && !method.is_fixed() && qtype != QType::Binary;
    let range = match rule.static_axes().filter(|_| varies) {
        None => range,
        Some(axes) => match Statistics::new(&place.path, axes, operand.rank()) {
            Ok(statistics) => statistics.average(&range),
            Err(message) => {
                refuse(message);
                return None;
            }
        },
    };
    Some((QTensor::with_range(&x, &how, range, None), method))
}

/// Refuses a rule that matches nothing, which is a mistake in its path, and lists the existing paths. A last rule that matches everything may
/// decide nothing, since a file of rules can be shared between models. Also refuses a rule that only matches
/// products of activations but has no type for them.
fn check_used(rules: &Rules, report: &Report) -> Result<()> {
    let of_rule = |i: usize| report.rows.iter().filter(move |row| row.rule == Some(i + 1));
    let is_idle = |i: &usize| {
        of_rule(*i).next().is_some() && of_rule(*i).flat_map(|row| &row.sides).all(|side| side.qtype.is_none())
    };
    let unused = (0..rules.len()).find(|&i| of_rule(i).next().is_none() && !rules.is_last_resort(i, report));
    let Some(index) = unused else {
        let idle = (0..rules.len()).find(|i| rules.get(*i).weight.is_some() && is_idle(i));
        return idle.map_or(Ok(()), |i| {
            Err(Error::input(format!(
                "rule {} (module_path `{}`) quantizes nothing: no operation that it applies to has a weight; give it an \
                 act_qtype, or leave it out",
                i + 1,
                rules.get(i).config.module_path
            )))
        });
    };
    let rule = rules.get(index);
    let named = &rule.config.module_path;
    if let Some(row) = report.rows.iter().find(|row| rule.matches(&row.path, row.op)) {
        let earlier = row.rule.unwrap_or_default();
        return Err(Error::input(format!(
            "rule {} (module_path `{named}`) is never reached: rule {earlier} comes first and matches all its operations; put it \
             before that one, remove it, or accept it with --allow-unmatched",
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
        "rule {} (module_path `{}`) matches no operation{hint} (paths with operations to quantize: {}); correct it, or leave it out \
         with --allow-unmatched",
        index + 1,
        shortened(named),
        listed(&paths)
    )))
}

/// The first paths, and how many there are beside them.
fn listed(paths: &[&str]) -> String {
    const SHOWN: usize = 12;
    match paths.split_at_checked(SHOWN) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => paths.join(", "),
    }
}

/// A text of a file, as much of it as a sentence has room for.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
