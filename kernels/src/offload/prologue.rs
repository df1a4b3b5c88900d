//! Fuses elementwise producers of a scan's sequences into its body, saving a pass over memory for each.

use std::sync::Arc;

use spiq_hlo::{Array, BroadcastInDim, Constant, Graph, Lane, LaneFn, Op, Scan, Tensor, TensorType, trace_body};

/// Largest number of operations fused per sequence.
const MOST: usize = 8;

/// The computation of one step of a sequence.
enum Source {
    /// The row of a sequence with this index.
    Row(usize),
    /// A tensor that is the same in each step.
    Same(Tensor),
    /// A constant filled with one number.
    Number(Constant),
    Result(Arc<dyn Op>, Vec<Source>),
}

/// The same loop with the elementwise producers of its sequences fused into its steps. Other readers keep the original values. `None`:
/// there is nothing to fuse.
///
/// Each fused value is followed by a barrier, so that it is rounded as before.
pub(super) fn with_prologue(scan: &Scan, operands: &[Tensor]) -> Option<(Scan, Vec<Tensor>)> {
    let parts = scan.parts(operands);
    let mut rows = Vec::new();
    let sources: Vec<Source> = parts.xs.iter().map(|x| source(x, &mut rows, &mut MOST.clone())).collect();
    if rows.is_empty() || !sources.iter().any(|source| matches!(source, Source::Result(..))) {
        return None;
    }
    let ranges = vec![None; scan.carries()];
    let graph = operands[0].graph();
    let step = |graph: &Graph, carry: &[Tensor], rows: &[Tensor]| {
        let x = sources.iter().map(|source| match source {
            Source::Result(..) => compute(source, graph, rows).optimization_barrier(),
            _ => compute(source, graph, rows),
        });
        let mut results = scan.body().call(graph, &[parts.consts, carry, &x.collect::<Vec<_>>()].concat());
        let ys = results.split_off(scan.carries());
        (results, ys)
    };
    // If an operation cannot be applied to one step of its operands, the loop remains unchanged.
    graph.attempt(|| trace_body(graph, parts.carries, &ranges, &rows, scan.length(), scan.is_reverse(), step).ok())
}

/// The computation of one step of `sequence` from `rows`, to which it may append. `left` is the number of operations that may still be
/// fused.
fn source(sequence: &Tensor, rows: &mut Vec<Tensor>, left: &mut usize) -> Source {
    if let Some(same) = same(sequence) {
        return same;
    }
    let origin = sequence.origin();
    if is_arithmetic(origin.op.as_ref()) && *left > 0 {
        *left -= 1;
        return Source::Result(origin.op, origin.operands.iter().map(|t| source(t, rows, left)).collect());
    }
    let known = rows.iter().position(|row| row.is(sequence));
    Source::Row(known.unwrap_or_else(|| {
        rows.push(sequence.clone());
        rows.len() - 1
    }))
}

/// Whether an operation is cheap enough to fuse: arithmetic and conversions.
fn is_arithmetic(op: &dyn Op) -> bool {
    use LaneFn::{Add, Divide, Multiply, Subtract};
    matches!(op.lane(), Some(Lane::Convert(..) | Lane::Apply(Add | Subtract | Multiply | Divide, _)))
}

/// The source of a sequence that is the same in each step; `None` for other sequences.
fn same(sequence: &Tensor) -> Option<Source> {
    let ty = TensorType::new(sequence.dtype(), sequence.dims().get(1..)?);
    if let Some(value) = number(sequence) {
        return Some(Source::Number(Constant { ty, value }));
    }
    let origin = sequence.origin();
    let axes = &origin.op.downcast::<BroadcastInDim>()?.axes;
    if axes.contains(&0) {
        return None;
    }
    let axes: Vec<usize> = axes.iter().map(|axis| axis - 1).collect();
    Some(Source::Same(origin.operands[0].broadcast_in_dim(&ty.dims, &axes)))
}

/// The number that fills a tensor, if all its elements are the same constant.
fn number(tensor: &Tensor) -> Option<Array> {
    let origin = tensor.origin();
    match origin.op.downcast::<Constant>() {
        Some(constant) => constant.value.dims().is_empty().then(|| constant.value.clone()),
        None if matches!(origin.op.name(), "broadcast_in_dim" | "reshape") => number(&origin.operands[0]),
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
