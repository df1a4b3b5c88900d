//! Weights apart from the program that uses them: what is computed once and stored, and what runs from it. Knows nothing
//! of files.

use std::sync::Arc;

use spiq_hlo::{Cotangents, Function, Infer, Op, Recompute, Reverse, Tensor, TensorType, Value};

use super::qtensor::QTensor;
use super::qtype::QType;

/// A weight that is stored quantized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWeight {
    /// Where it is kept: that of the parameter (`core/layers/0/kernel`), whose values stand under `…/qvalue`, scales under
    /// `…/scale` and, where there are any, zero points under `…/zero_point`. qwix: `QArray`.
    pub path: String,
    /// Its type.
    pub qtype: QType,
    /// An axis cut into this many tiles, each with a scale.
    pub(crate) tiles: Option<(usize, usize)>,
    /// Number of its parts: values, scales and, where there are any, zero points.
    pub(crate) parts: usize,
}

/// Marks a quantized weight: the original, then its parts; yields the parts.
#[derive(Clone, Debug, PartialEq)]
struct Mark(StoredWeight);

const PARTS: [&str; 3] = ["qvalue", "scale", "zero_point"];

impl Op for Mark {
    fn name(&self) -> &'static str {
        "stored_weight"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Ok(operands[1..].to_vec())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("path", format!("{:?}", self.0.path))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        vec![None; reverse.ins.len()]
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn is_pure_data(&self) -> bool {
        false
    }
    fn is_stablehlo(&self, _: &[TensorType]) -> bool {
        false
    }
    fn lower(&self, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        Some(operands[1..].to_vec())
    }
}

/// Marks a weight as one to store under `path`.
pub(crate) fn mark(original: &Tensor, q: QTensor, path: String) -> QTensor {
    let operands: Vec<Tensor> = [original, &q.values, &q.scale].into_iter().chain(&q.zero_point).cloned().collect();
    let weight = StoredWeight { path, qtype: q.qtype, tiles: q.tiles, parts: operands.len() - 1 };
    let mut parts = original.graph().record(Arc::new(Mark(weight)), &operands).into_iter();
    match (parts.next(), parts.next()) {
        (Some(values), Some(scale)) => QTensor { values, scale, zero_point: parts.next(), ..q },
        _ => q,
    }
}

impl StoredWeight {
    /// What the stored parts stand for.
    pub fn dequantize(&self, values: &Tensor, scale: &Tensor, zero_point: Option<&Tensor>) -> Tensor {
        QTensor::dequantized(self.qtype, self.tiles, values, scale, zero_point)
    }
}

/// A program in two: what quantizes the weights, and what runs from them.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The weights, in the order of the results of `prepare`.
    pub weights: Vec<StoredWeight>,
    /// From those parameters of the whole that are read to, for each weight, the original and its parts.
    pub prepare: Function,
    /// Names and types of the parts, in the order in which `run` takes them.
    pub parts: Vec<(String, TensorType)>,
    /// From those parameters of the whole that are read beside the weights, then the parts, to the results of the whole.
    pub run: Function,
}

/// Splits a program that was quantized with [`Mode::Ptq`](super::Mode) at its quantized weights.
pub fn split_stored(function: &Function) -> Stored {
    let inputs: Vec<(Value, String)> =
        function.input_names().iter().enumerate().map(|(i, name)| (function.input(i), name.clone())).collect();
    let (mut weights, mut results, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for (index, node) in function.nodes().iter().enumerate() {
        let Some(Mark(weight)) = node.op.downcast::<Mark>() else { continue };
        results.push(node.operands[0]);
        for (output, part) in PARTS.iter().enumerate().take(weight.parts) {
            let value = Value { node: index, output };
            results.push(value);
            parts.push((value, format!("{}/{part}", weight.path)));
        }
        weights.push(weight.clone());
    }
    let named = |(value, name): &(Value, String)| (name.clone(), function.ty(*value).clone());
    Stored {
        weights,
        prepare: part(function, &inputs, &[], &results),
        parts: parts.iter().map(named).collect(),
        run: part(function, &inputs, &parts, function.results()),
    }
}

/// The part of a function from those of its parameters that are read, then from `parts`, to `results`.
fn part(function: &Function, inputs: &[(Value, String)], parts: &[(Value, String)], results: &[Value]) -> Function {
    let all = function.part(&[inputs, parts].concat(), results);
    let read = inputs.iter().enumerate().filter(|(i, _)| all.reads_input(*i)).map(|(_, input)| input.clone());
    function.part(&read.chain(parts.iter().cloned()).collect::<Vec<_>>(), results)
}
