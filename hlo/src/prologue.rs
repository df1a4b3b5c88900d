//! Takes into a loop what is computed for all of its steps before it: one pass over memory less. Knows of operations only
//! which of them are elementwise arithmetic.

use std::sync::Arc;

use crate::graph::op::Op;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::constant::Constant;
use crate::ops::shape::BroadcastInDim;
use crate::scan::operation::{Scan, trace_body};
use crate::types::tensor_type::TensorType;

/// How many operations a loop takes in for one of its sequences.
const MOST: usize = 8;

/// How a sequence that a loop reads is computed, for one step.
enum Source {
    /// From a row of a sequence, of this number.
    Row(usize),
    /// The same in each step.
    Same(Tensor),
    /// A number, in an array of this shape.
    Number(Constant),
    Result(Arc<dyn Op>, Vec<Source>),
}

impl Scan {
    /// The same loop, which computes in each step what was computed elementwise for all steps before. What else reads that
    /// keeps it. `None`: there is nothing to take in.
    ///
    /// Each value taken in is behind a barrier, so that it is rounded as it was.
    pub(crate) fn with_prologue(&self, operands: &[Tensor]) -> Option<(Scan, Vec<Tensor>)> {
        let parts = self.parts(operands);
        let mut rows = Vec::new();
        let sources: Vec<Source> = parts.xs.iter().map(|x| source(x, &mut rows, &mut MOST.clone())).collect();
        if rows.is_empty() || !sources.iter().any(|source| matches!(source, Source::Result(..))) {
            return None;
        }
        let ranges = vec![None; self.carries];
        let graph = operands[0].graph();
        let traced =
            trace_body(graph, parts.carries, &ranges, &rows, self.length, self.reverse, |graph, carry, rows| {
                let x = sources.iter().map(|source| match source {
                    Source::Result(..) => compute(source, graph, rows).optimization_barrier(),
                    _ => compute(source, graph, rows),
                });
                let mut results = self.body.call(graph, &[parts.consts, carry, &x.collect::<Vec<_>>()].concat());
                let ys = results.split_off(self.carries);
                (results, ys)
            });
        traced.ok()
    }
}

/// How a step of `sequence` is computed, from `rows`, which may become more. `left` is the number of operations that may be
/// taken in.
fn source(sequence: &Tensor, rows: &mut Vec<Tensor>, left: &mut usize) -> Source {
    if let Some(same) = same(sequence) {
        return same;
    }
    let node = sequence.graph().node(sequence.value().node);
    let elementwise = matches!(node.op.name(), "convert" | "add" | "subtract" | "multiply" | "divide");
    if elementwise && *left > 0 {
        *left -= 1;
        let operands: Vec<Tensor> = node.operands.iter().map(|v| sequence.graph().tensor(*v)).collect();
        return Source::Result(node.op, operands.iter().map(|t| source(t, rows, left)).collect());
    }
    let known = rows.iter().position(|row| row.value() == sequence.value());
    Source::Row(known.unwrap_or_else(|| {
        rows.push(sequence.clone());
        rows.len() - 1
    }))
}

/// What is the same in each step, if this is.
fn same(sequence: &Tensor) -> Option<Source> {
    let ty = TensorType::new(sequence.dtype(), sequence.dims().get(1..)?);
    if let Some(value) = number(sequence) {
        return Some(Source::Number(Constant { ty, value }));
    }
    let node = sequence.graph().node(sequence.value().node);
    let axes = &node.op.downcast::<BroadcastInDim>()?.axes;
    if axes.contains(&0) {
        return None;
    }
    let axes: Vec<usize> = axes.iter().map(|axis| axis - 1).collect();
    Some(Source::Same(sequence.graph().tensor(node.operands[0]).broadcast_in_dim(&ty.dims, &axes)))
}

/// The number that all elements are.
fn number(tensor: &Tensor) -> Option<crate::types::array::Array> {
    let node = tensor.graph().node(tensor.value().node);
    match node.op.downcast::<Constant>() {
        Some(constant) => constant.value.dims().is_empty().then(|| constant.value.clone()),
        None if matches!(node.op.name(), "broadcast_in_dim" | "reshape") => {
            number(&tensor.graph().tensor(node.operands[0]))
        }
        None => None,
    }
}

fn compute(source: &Source, graph: &Graph, rows: &[Tensor]) -> Tensor {
    match source {
        Source::Row(i) => rows[*i].clone(),
        Source::Same(tensor) => tensor.clone(),
        Source::Number(constant) => {
            let constant = Constant { ty: constant.ty.clone(), value: constant.value.clone() };
            graph.record(Arc::new(constant), &[]).swap_remove(0)
        }
        Source::Result(op, operands) => {
            let operands: Vec<Tensor> = operands.iter().map(|operand| compute(operand, graph, rows)).collect();
            graph.record(op.clone(), &operands).swap_remove(0)
        }
    }
}
