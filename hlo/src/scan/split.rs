//! Cuts a scan along time: parts without a carry become one operation over all steps, the rest remains a loop.

use crate::graph::batch::{Mapped, map_node};
use crate::graph::error::GraphErrors;
use crate::graph::function::{Function, Value};
use crate::graph::op::Recompute;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::scan::operation::{Parts, Scan, scan_raw};
use crate::scan::scc::strongly_connected;
use crate::scan::split_border::absorbable;

impl Function {
    /// The same function with its scans cut along time.
    ///
    /// The body of a scan is divided into the strongly connected components of its carries. A part without a carry (for example a dot
    /// product) becomes one operation over `tile` steps; a part with a carry (an integrator) remains a loop. `tile` = 1 leaves scans
    /// unchanged; `tile` = length runs layer by layer; values in between run a loop over tiles. A `tile` that does not divide the length is
    /// reduced to the next smaller divisor. The results equal those of the plain scan.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn split_time(&self, tile: usize) -> Result<Function, GraphErrors> {
        self.transform(&mut |node, operands| node.op.downcast::<Scan>()?.split(operands, tile))
    }
}

impl Scan {
    fn split(&self, operands: &[Tensor], tile: usize) -> Option<Vec<Tensor>> {
        let tile = (1..=tile.min(self.length)).rev().find(|t| self.length.is_multiple_of(*t))?;
        let parts = self.parts(operands);
        let plan = Plan::of(self);
        if tile == 1 || !plan.is_worth_it(&self.body) {
            return None;
        }
        if tile == self.length {
            return plan.run(self, parts.consts, parts.carries, parts.xs);
        }
        Some(self.over_tiles(&plan, &parts, tile))
    }

    /// A loop over tiles, each of which is cut separately.
    fn over_tiles(&self, plan: &Plan, parts: &Parts<Tensor>, tile: usize) -> Vec<Tensor> {
        let tiles = self.length / tile;
        let cut = |x: &Tensor| x.reshape(&[&[tiles, tile], &x.dims()[1..]].concat());
        let xs: Vec<Tensor> = parts.xs.iter().map(cut).collect();
        let inner = Scan { length: tile, ..self.clone() };
        let outputs = scan_raw(parts.carries, &xs, tiles, self.reverse, parts.consts, |graph, carry, x| {
            let mut outputs = plan.run(&inner, parts.consts, carry, x).unwrap_or_else(|| vec![Tensor::poison(graph)]);
            let ys = outputs.split_off(self.carries.min(outputs.len()));
            (outputs, ys)
        });
        let joined = |(i, t): (usize, Tensor)| match i < self.carries || t.is_poison() {
            true => t,
            false => t.reshape(&[&[self.length], &t.dims()[2..]].concat()),
        };
        outputs.into_iter().enumerate().map(joined).collect()
    }
}

/// The strongly connected components of a scan's body, each after those it reads. Loops include the cheap operations at their
/// boundary that `absorbable` finds.
struct Plan {
    parts: Vec<Part>,
    /// For each node, its part.
    part_of: Vec<usize>,
}

struct Part {
    /// Node indices, ascending.
    nodes: Vec<usize>,
    /// The carries of this loop; empty for a single node.
    carries: Vec<usize>,
}

impl Plan {
    fn of(scan: &Scan) -> Plan {
        let inputs = scan.body.inputs.len();
        let mut before: Vec<Vec<usize>> =
            scan.body.nodes.iter().map(|n| n.operands.iter().map(|v| v.node).collect()).collect();
        for i in 0..scan.carries {
            before[scan.consts + i].push(scan.body.results[i].node);
        }
        while let Some((node, neighbour)) = absorbable(scan, &before) {
            before[node].push(neighbour);
            before[neighbour].push(node);
        }
        let carried = |node: &usize| (scan.consts..scan.consts + scan.carries).contains(node);
        let mut part_of = vec![0; before.len()];
        let mut parts = Vec::new();
        for nodes in strongly_connected(&before) {
            // Constants and slices are not parts: they are available from the start.
            if nodes.iter().all(|n| *n < inputs && !carried(n)) {
                continue;
            }
            nodes.iter().for_each(|&n| part_of[n] = parts.len());
            let carries = nodes.iter().filter(|n| carried(n)).map(|n| n - scan.consts).collect();
            parts.push(Part { nodes, carries });
        }
        Plan { parts, part_of }
    }

    /// Whether a costly operation is outside all loops.
    fn is_worth_it(&self, body: &Function) -> bool {
        let free = |part: &&Part| part.carries.is_empty();
        self.parts.iter().filter(free).any(|p| body.nodes[p.nodes[0]].op.recompute() == Recompute::Costly)
    }

    /// Records the parts over all steps. `None` when an operation has no batching rule.
    fn run(&self, scan: &Scan, consts: &[Tensor], init: &[Tensor], xs: &[Tensor]) -> Option<Vec<Tensor>> {
        let graph = init.iter().chain(xs).chain(consts).next()?.graph().clone();
        let mut values: Vec<Option<Stacked>> = vec![None; scan.body.nodes.len()];
        for (i, t) in consts.iter().enumerate() {
            values[i] = Some(Stacked { outputs: vec![t.clone()], mapped: false });
        }
        for (i, t) in xs.iter().enumerate() {
            values[scan.consts + scan.carries + i] = Some(Stacked { outputs: vec![t.clone()], mapped: true });
        }
        let mut last: Vec<Option<Tensor>> = vec![None; scan.carries];
        for (index, part) in self.parts.iter().enumerate() {
            if part.carries.is_empty() {
                let node = part.nodes[0];
                values[node] = Some(over_time(scan, &graph, node, &values)?);
            } else {
                self.run_loop(scan, index, init, &mut values, &mut last);
            }
        }
        let stacked = |v: &Value| {
            let found = values[v.node].as_ref().expect("every part was run");
            found.over(v.output, scan.length)
        };
        let ys = scan.body.results[scan.carries..].iter().map(stacked);
        Some(last.into_iter().map(|t| t.expect("every carry has its loop")).chain(ys).collect())
    }

    /// Records a part with carries as a separate scan.
    fn run_loop(
        &self,
        scan: &Scan,
        index: usize,
        init: &[Tensor],
        values: &mut [Option<Stacked>],
        last: &mut [Option<Tensor>],
    ) {
        let (part, body) = (&self.parts[index], &scan.body);
        let inside = |v: &Value| self.belongs(part, v.node);
        let carried = |i: &usize| body.results[*i];
        let mut read: Vec<Value> = part.nodes.iter().flat_map(|&n| body.nodes[n].operands.clone()).collect();
        read.extend(part.carries.iter().map(carried));
        read.retain(|v| !inside(v) && values[v.node].as_ref().is_some_and(|s| s.mapped));
        read.sort_unstable();
        read.dedup();
        let given = self.read_elsewhere(scan, index);
        let value_of =
            |v: &Value, values: &[Option<Stacked>]| values[v.node].as_ref().map(|s| s.outputs[v.output].clone());
        let sequences: Vec<Tensor> = read.iter().filter_map(|v| value_of(v, values)).collect();
        let start: Vec<Tensor> = part.carries.iter().map(|&i| init[i].clone()).collect();
        let outer: &[Option<Stacked>] = values;
        let mut outputs = scan_raw(&start, &sequences, scan.length, scan.reverse, init, |graph, carry, slices| {
            let mut local: Vec<Option<Vec<Tensor>>> = vec![None; body.nodes.len()];
            part.carries.iter().zip(carry).for_each(|(i, t)| local[scan.consts + i] = Some(vec![t.clone()]));
            let find = |v: &Value, local: &[Option<Vec<Tensor>>]| match (&local[v.node], read.binary_search(v)) {
                (Some(outputs), _) => outputs.get(v.output).unwrap_or(&outputs[0]).clone(),
                (None, Ok(at)) => slices[at].clone(),
                _ => value_of(v, outer).expect("an operand is inside, a sequence or invariant"),
            };
            for &n in part.nodes.iter().filter(|&&n| n >= body.inputs.len()) {
                let node = &body.nodes[n];
                let operands: Vec<Tensor> = node.operands.iter().map(|v| find(v, &local)).collect();
                local[n] = Some(graph.as_from(node, || graph.record(node.op.clone(), &operands)));
            }
            let after = part.carries.iter().map(|i| find(&carried(i), &local)).collect();
            (after, given.iter().map(|v| find(v, &local)).collect())
        });
        if outputs[0].is_poison() {
            outputs = vec![outputs[0].clone(); start.len() + given.len()];
        }
        let ys = outputs.split_off(start.len());
        part.carries.iter().zip(outputs).for_each(|(&i, t)| last[i] = Some(t));
        for (v, y) in given.iter().zip(ys) {
            let count = body.nodes[v.node].types.len();
            let entry = values[v.node].get_or_insert_with(|| Stacked { outputs: vec![y.clone(); count], mapped: true });
            entry.outputs[v.output] = y;
        }
    }

    fn belongs(&self, part: &Part, node: usize) -> bool {
        part.nodes.binary_search(&node).is_ok()
    }

    /// Values of a part that other parts or the scan's outputs read.
    fn read_elsewhere(&self, scan: &Scan, index: usize) -> Vec<Value> {
        let part = &self.parts[index];
        let body = &scan.body;
        let others = (0..body.nodes.len()).filter(|&n| !self.belongs(part, n));
        let mut read: Vec<Value> = others.flat_map(|n| body.nodes[n].operands.clone()).collect();
        read.extend(&body.results[scan.carries..]);
        // The next value of a carry that belongs to another part is a sequence for that part.
        let foreign = (0..scan.carries).filter(|&i| self.part_of[scan.consts + i] != index);
        read.extend(foreign.map(|i| body.results[i]));
        read.retain(|v| self.belongs(part, v.node));
        read.sort_unstable();
        read.dedup();
        read
    }
}

/// A value of the body over all steps.
#[derive(Clone)]
struct Stacked {
    outputs: Vec<Tensor>,
    /// Whether axis 0 is time; otherwise the value is the same in every step.
    mapped: bool,
}

impl Stacked {
    fn over(&self, output: usize, length: usize) -> Tensor {
        let tensor = self.outputs.get(output).unwrap_or(&self.outputs[0]);
        if tensor.is_poison() {
            return tensor.clone();
        }
        Mapped { ins: std::slice::from_ref(tensor), mapped: &[self.mapped], size: length }.operand(0)
    }
}

/// Applies a node without a carry to all steps at once.
fn over_time(scan: &Scan, graph: &Graph, index: usize, values: &[Option<Stacked>]) -> Option<Stacked> {
    let node = &scan.body.nodes[index];
    let found: Vec<&Stacked> =
        node.operands.iter().map(|v| values[v.node].as_ref().expect("parts are in order")).collect();
    let pick = |(s, v): (&&Stacked, &Value)| s.outputs.get(v.output).unwrap_or(&s.outputs[0]).clone();
    let ins: Vec<Tensor> = found.iter().zip(&node.operands).map(pick).collect();
    let mapped: Vec<bool> = found.iter().map(|s| s.mapped).collect();
    graph.as_from(node, || {
        if !mapped.contains(&true) {
            return Some(Stacked { outputs: graph.record(node.op.clone(), &ins), mapped: false });
        }
        let outputs = map_node(node.op.as_ref(), &Mapped { ins: &ins, mapped: &mapped, size: scan.length })?;
        Some(Stacked { outputs, mapped: true })
    })
}
