//! What stands at the border of a loop over time and costs less inside of it: a value that crosses the border is written to
//! memory for all steps, and read again. Knows no particular op.

use std::collections::BTreeSet;

use crate::graph::function::Value;
use crate::graph::op::Recompute;
use crate::scan::operation::Scan;
use crate::scan::scc::strongly_connected;

/// A cheap operation without a carry that a loop should take in, and a node of that loop.
///
/// One that reads a loop alone goes in where its result is smaller than what it reads: booleans leave as bytes. What a loop
/// reads stays outside, though it would save a pass over memory: scales that are multiplied inside are joined with other
/// factors in one program and not in the next, whose last bits then differ.
pub(crate) fn absorbable(scan: &Scan, before: &[Vec<usize>]) -> Option<(usize, usize)> {
    let border = Border::new(scan, before);
    (0..scan.body.nodes.len()).rev().find_map(|node| Some((node, border.neighbour(node)?)))
}

struct Border<'a> {
    scan: &'a Scan,
    /// For each node, the component it belongs to.
    component: Vec<usize>,
    /// For each component, a node of it if it is a loop.
    root: Vec<Option<usize>>,
    /// Whether a node differs from step to step.
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

    /// A node of the loop that should take this one in.
    fn neighbour(&self, n: usize) -> Option<usize> {
        let body = &self.scan.body;
        let free = n >= body.inputs.len() && self.root[self.component[n]].is_none();
        if !free || !self.varies[n] || body.nodes[n].op.recompute() == Recompute::Costly {
            return None;
        }
        self.only_source(n)
    }

    /// The loop that alone a node reads, where its result is smaller than that.
    fn only_source(&self, n: usize) -> Option<usize> {
        let operands = self.operands(n);
        let source = self.component[operands.first()?.node];
        if operands.iter().any(|v| self.component[v.node] != source) {
            return None;
        }
        let result = self.bytes((0..self.scan.body.nodes[n].types.len()).map(|output| Value { node: n, output }));
        self.root[source].filter(|_| result < self.bytes(operands))
    }

    /// The values that a node reads and that differ from step to step.
    fn operands(&self, n: usize) -> BTreeSet<Value> {
        self.scan.body.nodes[n].operands.iter().copied().filter(|v| self.varies[v.node]).collect()
    }

    fn bytes(&self, values: impl IntoIterator<Item = Value>) -> usize {
        values.into_iter().map(|v| self.scan.body.ty(v).device_bytes()).sum()
    }
}
