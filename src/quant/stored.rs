//! Splits a program at its quantized weights: one part computes and stores them once, the other runs from the stored values.

use std::sync::Arc;

use spiq_hlo::{Cotangents, Function, Infer, Op, Recompute, Reverse, Tensor, TensorType, Value};

use super::qtensor::QTensor;
use super::qtype::QType;

/// A weight that is stored quantized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWeight {
    /// Its path: that of the parameter (`core/layers/0/kernel`), with values under `…/qvalue`, scales under `…/scale` and zero points, if
    /// any, under `…/zero_point`. qwix: `QArray`.
    pub path: String,
    /// Its type.
    pub qtype: QType,
    /// An axis cut into this many tiles, each with its own scale.
    pub(crate) tiles: Option<(usize, usize)>,
    /// Number of parts: values, scales and zero points, if any.
    pub(crate) parts: usize,
}

/// Marks a quantized weight: takes the original and its parts, and returns the parts.
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

/// Marks a weight to be stored under `path`.
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
    /// The values that the stored parts represent.
    pub fn dequantize(&self, values: &Tensor, scale: &Tensor, zero_point: Option<&Tensor>) -> Tensor {
        QTensor::dequantized(self.qtype, self.tiles, values, scale, zero_point)
    }
}

/// A program in two parts: one quantizes the weights, the other runs from them.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The weights, in the order of the results of `prepare`.
    pub weights: Vec<StoredWeight>,
    /// Takes the parameters it reads; returns, for each weight, the original and its parts.
    pub prepare: Function,
    /// Names and types of the parts, in the order of `run`'s parameters.
    pub parts: Vec<(String, TensorType)>,
    /// Takes the parameters it reads besides the weights, then the parts; returns the results of the whole program.
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

/// The part of a function that computes `results`; its parameters are those of the function that it reads, then `parts`.
fn part(function: &Function, inputs: &[(Value, String)], parts: &[(Value, String)], results: &[Value]) -> Function {
    let all = function.part(&[inputs, parts].concat(), results);
    let read = inputs.iter().enumerate().filter(|(i, _)| all.reads_input(*i)).map(|(_, input)| input.clone());
    function.part(&read.chain(parts.iter().cloned()).collect::<Vec<_>>(), results)
}
