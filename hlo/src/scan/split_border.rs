//! Finds cheap operations at a loop boundary that should be fused into the loop: a value that crosses the boundary is written to
//! memory for all steps and read again.

use std::collections::BTreeSet;

use crate::graph::function::Value;
use crate::graph::op::Recompute;
use crate::scan::operation::Scan;
use crate::scan::scc::strongly_connected;

/// A cheap operation without a carry that should be fused into a loop, and a node of that loop.
///
/// An operation that reads only one loop is fused into it if its result is smaller than its operands: booleans leave as bytes.
/// Producers of a loop's inputs stay outside, although fusing them would save a pass over memory: inside, scales are combined with
/// other factors in some programs but not in others, so the last bits of results would differ between programs.
pub(crate) fn absorbable(scan: &Scan, before: &[Vec<usize>]) -> Option<(usize, usize)> {
    let border = Border::new(scan, before);
    (0..scan.body.nodes.len()).rev().find_map(|node| Some((node, border.neighbour(node)?)))
}

struct Border<'a> {
    scan: &'a Scan,
    /// For each node, its component.
    component: Vec<usize>,
    /// For each component, one of its nodes if it is a loop.
    root: Vec<Option<usize>>,
    /// Whether a node differs between steps.
    varies: Vec<bool>,
}

impl Border<'_> {
    fn new<'a>(scan: &'a Scan, before: &[Vec<usize>]) -> Border<'a> {
        let components = strongly_connected(before);
        let mut component = vec![0; before.len()];
        components.iter().enumerate().for_each(|(at, nodes)| nodes.iter().for_each(|&n| component[n] = at));
        let carried = |n: &&usize| (scan.consts..scan.consts + scan.carries).contains(*n);
        let root = components.iter().map(|nodes| nodes.iter().find(carried).copied()).collect();
        let mut varies: Vec<bool> = (0..before.len()).map(|n| n >= scan.consts && n < scan.body.inputs.len()).collect();
        for (n, node) in scan.body.nodes.iter().enumerate() {
            varies[n] |= node.operands.iter().any(|v| varies[v.node]);
        }
        Border { scan, component, root, varies }
    }

    /// A node of the loop that should absorb this node.
    fn neighbour(&self, n: usize) -> Option<usize> {
        let body = &self.scan.body;
        let free = n >= body.inputs.len() && self.root[self.component[n]].is_none();
        if !free || !self.varies[n] || body.nodes[n].op.recompute() == Recompute::Costly {
            return None;
        }
        self.only_source(n)
    }

    /// The only loop that a node reads, if the node's result is smaller than its operands.
    fn only_source(&self, n: usize) -> Option<usize> {
        let operands = self.operands(n);
        let source = self.component[operands.first()?.node];
        if operands.iter().any(|v| self.component[v.node] != source) {
            return None;
        }
        let result = self.bytes((0..self.scan.body.nodes[n].types.len()).map(|output| Value { node: n, output }));
        self.root[source].filter(|_| result < self.bytes(operands))
    }

    /// The operands of a node that differ between steps.
    fn operands(&self, n: usize) -> BTreeSet<Value> {
        self.scan.body.nodes[n].operands.iter().copied().filter(|v| self.varies[v.node]).collect()
    }

    fn bytes(&self, values: impl IntoIterator<Item = Value>) -> usize {
        values.into_iter().map(|v| self.scan.body.ty(v).device_bytes()).sum()
    }
}
