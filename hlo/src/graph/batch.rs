//! Batching rules: how an operation maps over an additional leading axis, for `vmap` and for cutting scans.

use std::sync::Arc;

use crate::graph::error::Violation;
use crate::graph::function::Function;
use crate::graph::op::Op;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;

/// The input of a batching rule: the operands, some of which carry a new leading axis.
pub struct Mapped<'a> {
    /// The operands; the mapped ones have the new axis at position 0.
    pub ins: &'a [Tensor],
    /// Which operands are mapped. At least one is.
    pub mapped: &'a [bool],
    /// Size of the new axis.
    pub size: usize,
}

impl Mapped<'_> {
    /// Operand `i` with the new leading axis; an unmapped operand is repeated along it.
    #[track_caller]
    pub fn operand(&self, i: usize) -> Tensor {
        if self.mapped[i] {
            return self.ins[i].clone();
        }
        let inner = self.ins[i].dims();
        let dims: Vec<usize> = [self.size].iter().chain(inner).copied().collect();
        self.ins[i].broadcast_in_dim(&dims, &(1..dims.len()).collect::<Vec<_>>())
    }

    /// Every operand with the new leading axis.
    #[track_caller]
    pub fn operands(&self) -> Vec<Tensor> {
        (0..self.ins.len()).map(|i| self.operand(i)).collect()
    }

    /// A result with the new leading axis; a result that does not depend on mapped operands is repeated along it.
    #[track_caller]
    pub(crate) fn wide(size: usize, (result, mapped): (Tensor, bool)) -> Tensor {
        Mapped { ins: &[result], mapped: &[mapped], size }.operand(0)
    }

    /// The batching rule of an operation that `f` expresses in other operations, by their rules.
    pub(crate) fn through(&self, f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Option<Vec<Tensor>> {
        let graph = Graph::new();
        let inner = |(t, mapped): (&Tensor, &bool)| t.ty().with_dims(&t.dims()[usize::from(*mapped)..]);
        let inputs: Vec<Tensor> = self.ins.iter().zip(self.mapped).map(|i| graph.input("", inner(i))).collect();
        let function = graph.finish(&f(&inputs)).expect("its expression accepts the operands");
        let results = call_mapped(&function, self.ins[0].graph(), self.ins, self.mapped, self.size);
        Some(results.into_iter().map(|result| Mapped::wide(self.size, result)).collect())
    }

    /// The batching rule of every elementwise operation: apply it over all axes.
    pub fn elementwise(&self, op: impl Op) -> Option<Vec<Tensor>> {
        let operands = self.operands();
        Some(operands[0].graph().clone().record(Arc::new(op), &operands))
    }
}

/// Replays `function` with some arguments mapped over a new leading axis. Returns each result and whether it is mapped.
///
/// # Errors
/// Recorded in the trace: an operation without a batching rule, by name.
pub(crate) fn call_mapped(
    function: &Function,
    graph: &Graph,
    args: &[Tensor],
    mapped: &[bool],
    size: usize,
) -> Vec<(Tensor, bool)> {
    let mut flags: Vec<bool> = mapped.to_vec();
    for node in &function.nodes[mapped.len()..] {
        flags.push(node.operands.iter().any(|v| flags[v.node]));
    }
    let mut at = mapped.len();
    let results = function.replay(graph, args, &mut |node, operands| {
        let ins: Vec<bool> = node.operands.iter().map(|v| flags[v.node]).collect();
        at += 1;
        ins.contains(&true).then(|| map_or_fail(graph, node.op.as_ref(), &Mapped { ins: operands, mapped: &ins, size }))
    });
    debug_assert_eq!(at, function.nodes.len());
    results.into_iter().zip(&function.results).map(|(t, v)| (t, flags[v.node])).collect()
}

/// The outputs of a node with at least one mapped operand; `None` if the operation has no batching rule.
pub(crate) fn map_node(op: &dyn Op, mapped: &Mapped) -> Option<Vec<Tensor>> {
    match mapped.ins.iter().find(|t| t.is_poison()) {
        Some(poison) => Some(vec![poison.clone()]),
        None => op.batch(mapped),
    }
}

/// The outputs of a node with at least one mapped operand; records an error if the operation has no batching rule.
fn map_or_fail(graph: &Graph, op: &dyn Op, mapped: &Mapped) -> Vec<Tensor> {
    let message = "has no batching rule, so vmap cannot map it";
    map_node(op, mapped).unwrap_or_else(|| vec![graph.fail(op.name(), Violation::new("", message))])
}
