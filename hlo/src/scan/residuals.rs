//! Chooses the residuals of a backward pass: a minimum cut between the available values and those that it reads.

use std::collections::{HashMap, VecDeque};

use crate::graph::function::{Node, Value};
use crate::graph::op::Recompute;

/// How the backward pass can obtain the forward values of a step.
pub(crate) struct Primal {
    /// Always available: constants and slices of the inputs.
    pub(crate) free: Vec<Value>,
    /// Unavailable unless saved: the carries.
    pub(crate) sources: Vec<Value>,
    /// Already stacked by the forward pass, so saving them is free.
    pub(crate) given: Vec<Value>,
    /// Incoming cotangents; nodes that depend on them are the backward pass.
    pub(crate) cts: Vec<Value>,
}

/// The cheapest set of values from which the backward pass can compute everything it reads.
///
/// A value costs its bytes. Elementwise operations and layout changes may be rematerialized, dots and reductions may not. This is the
/// min-cut partition of `torch.compile` (Chen et al. 2016 pose the problem); among equally cheap cuts it takes the one nearest to the
/// inputs.
pub(crate) fn saved(nodes: &[Node], primal: &Primal, targets: &[Value]) -> Vec<Value> {
    let back = depending(nodes, &primal.cts);
    let read = values_read(nodes, &back, targets);
    let mut network = Network::default();
    let mut stack = read.clone();
    let mut seen: Vec<Value> = Vec::new();
    for &value in &read {
        network.link(Vertex::Out(value), Vertex::Sink, UNBOUNDED);
    }
    while let Some(value) = stack.pop() {
        if seen.contains(&value) || primal.free.contains(&value) {
            continue;
        }
        seen.push(value);
        let node = &nodes[value.node];
        let cost = if primal.given.contains(&value) { 0 } else { node.types[value.output].device_bytes() as u64 };
        network.link(Vertex::In(value), Vertex::Out(value), cost);
        if primal.sources.contains(&value) || node.op.recompute() == Recompute::Costly {
            network.link(Vertex::Source, Vertex::In(value), UNBOUNDED);
            continue;
        }
        for &operand in &node.operands {
            network.link(Vertex::Out(operand), Vertex::In(value), UNBOUNDED);
            stack.push(operand);
        }
    }
    let near = network.cut();
    let cut = |v: &Value| near.contains(&Vertex::In(*v)) && !near.contains(&Vertex::Out(*v));
    reached(nodes, primal, read, cut)
}

/// Which nodes depend on one of `values`.
pub(crate) fn depending(nodes: &[Node], values: &[Value]) -> Vec<bool> {
    let mut flags = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let own = values.iter().any(|v| v.node == index);
        flags[index] = own || node.operands.iter().any(|v| flags[v.node]);
    }
    flags
}

/// The forward values that the backward pass to `targets` reads directly.
fn values_read(nodes: &[Node], back: &[bool], targets: &[Value]) -> Vec<Value> {
    let (mut read, mut stack, mut seen) = (Vec::new(), targets.to_vec(), vec![false; nodes.len()]);
    while let Some(value) = stack.pop() {
        if !back[value.node] {
            if !read.contains(&value) {
                read.push(value);
            }
        } else if !std::mem::replace(&mut seen[value.node], true) {
            stack.extend(&nodes[value.node].operands);
        }
    }
    read
}

/// The values of the cut that are reached first on paths from `read` toward the inputs.
fn reached(nodes: &[Node], primal: &Primal, read: Vec<Value>, cut: impl Fn(&Value) -> bool) -> Vec<Value> {
    let (mut found, mut seen, mut stack) = (Vec::new(), Vec::new(), read);
    while let Some(value) = stack.pop() {
        if seen.contains(&value) || primal.free.contains(&value) {
            continue;
        }
        seen.push(value);
        if cut(&value) {
            found.push(value);
        } else {
            stack.extend(&nodes[value.node].operands);
        }
    }
    found.sort_unstable();
    found
}

const UNBOUNDED: u64 = u64::MAX / 4;

/// A value is split into two vertices; the edge between them has the cost of saving it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Vertex {
    Source,
    Sink,
    In(Value),
    Out(Value),
}

/// A flow network; edge `i` and its reverse edge `i ^ 1` are adjacent.
#[derive(Default)]
struct Network {
    edges: Vec<(Vertex, u64)>,
    from: HashMap<Vertex, Vec<usize>>,
}

impl Network {
    fn link(&mut self, from: Vertex, to: Vertex, capacity: u64) {
        self.from.entry(from).or_default().push(self.edges.len());
        self.edges.push((to, capacity));
        self.from.entry(to).or_default().push(self.edges.len());
        self.edges.push((from, 0));
    }

    /// The vertices on the source side of a minimum cut (Edmonds and Karp).
    fn cut(mut self) -> Vec<Vertex> {
        loop {
            let arrivals = self.search();
            if !arrivals.contains_key(&Vertex::Sink) {
                return arrivals.into_keys().collect();
            }
            let mut path = Vec::new();
            let mut at = Vertex::Sink;
            while let Some(&Some(edge)) = arrivals.get(&at) {
                path.push(edge);
                at = self.edges[edge ^ 1].0;
            }
            let flow = path.iter().map(|&e| self.edges[e].1).min().unwrap_or(0);
            for edge in path {
                self.edges[edge].1 -= flow;
                self.edges[edge ^ 1].1 += flow;
            }
        }
    }

    /// Breadth-first search from the source over edges with residual capacity: the edge by which each vertex was reached.
    fn search(&self) -> HashMap<Vertex, Option<usize>> {
        let mut arrivals = HashMap::from([(Vertex::Source, None)]);
        let mut queue = VecDeque::from([Vertex::Source]);
        while let Some(vertex) = queue.pop_front() {
            for &edge in self.from.get(&vertex).into_iter().flatten() {
                let (to, room) = self.edges[edge];
                if room > 0 && !arrivals.contains_key(&to) {
                    arrivals.insert(to, Some(edge));
                    queue.push_back(to);
                }
            }
        }
        arrivals
    }
}

#[cfg(test)]
mod tests {
    use super::{Primal, saved};
    use crate::{DType, Graph, Tensor, TensorType, custom_vjp, vjp};

    /// Compares the names of the residuals of one step `(v, x, w) -> (v', ys)` with carry v f32[8,6], slice x f32[8,4] and constant
    /// w f32[4,6].
    #[track_caller]
    fn check(step: impl FnOnce(&Tensor, &Tensor, &Tensor) -> (Tensor, Vec<Tensor>), expected: &[&str]) {
        let graph = Graph::new();
        let input = |name: &str, dims: &[usize]| graph.input(name, TensorType::new(DType::F32, dims));
        let [v, x, w] = [input("v", &[8, 6]), input("x", &[8, 4]), input("w", &[4, 6])];
        let (carry, ys) = step(&v, &x, &w);
        let outputs: Vec<Tensor> = std::iter::once(carry).chain(ys.iter().cloned()).collect();
        let cts: Vec<Tensor> = outputs.iter().map(|y| graph.input("ct", y.ty().clone())).collect();
        let given: Vec<Option<Tensor>> = cts.iter().cloned().map(Some).collect();
        let grads = vjp(&outputs, &given, &[v.clone(), x.clone(), w.clone()]);
        let values = |tensors: &[Tensor]| tensors.iter().map(Tensor::value).collect::<Vec<_>>();
        let primal = Primal {
            free: values(&[x, w]),
            sources: values(std::slice::from_ref(&v)),
            given: values(&ys),
            cts: values(&cts),
        };
        let nodes = graph.snapshot();
        let name = |value: &super::Value| if *value == v.value() { "v" } else { nodes[value.node].op.name() };
        let found = saved(&nodes, &primal, &values(&grads));
        assert_eq!(found.iter().map(name).collect::<Vec<_>>(), expected);
    }

    fn spike(v: &Tensor) -> Tensor {
        let step = |v: &Tensor| v.gt(0.0).convert(v.dtype());
        custom_vjp("spike", v, step, |v: &Tensor, _: &Tensor, ct: &Tensor| ct * (1.0 - v.abs()).maximum(0.0))
    }

    #[test]
    fn a_linear_step_saves_nothing() {
        check(|v, x, w| (v * 0.9 + x.dot(w), vec![]), &[]);
    }

    #[test]
    fn neurons_save_their_potential() {
        let step = |v: &Tensor, x: &Tensor, w: &Tensor| {
            let fired = spike(&(v - 1.0));
            (v * 0.9 + x.dot(w) - &fired, vec![fired])
        };
        check(step, &["v"]);
    }

    #[test]
    fn a_dot_is_saved_and_not_repeated() {
        check(|v, x, w| (v + x.dot(w).tanh(), vec![]), &["dot_general"]);
    }

    #[test]
    fn a_chain_of_cheap_steps_is_repeated() {
        check(|v, _, _| (v.exp().tanh().logistic(), vec![]), &["v"]);
    }

    /// The backward pass reads both potentials; the sum that both depend on is as large as either alone.
    #[test]
    fn the_narrowest_place_is_cut() {
        let step = |v: &Tensor, x: &Tensor, w: &Tensor| {
            let sum = v + x.dot(w);
            (&sum * sum.tanh() + spike(&(&sum - 1.0)), vec![])
        };
        check(step, &["add"]);
    }

    #[test]
    fn an_output_that_is_stacked_anyway_is_free() {
        let step = |v: &Tensor, x: &Tensor, w: &Tensor| {
            let sum = v + x.dot(w);
            let y = sum.tanh();
            (&y * 0.5, vec![y])
        };
        check(step, &["tanh"]);
    }

    /// A row sum is a sixth of the size of its operand.
    #[test]
    fn small_results_of_large_sums_are_saved() {
        check(|v, x, w| (v + x.dot(w).reduce_sum([1]).exp().expand_dims(1), vec![]), &["reduce"]);
    }
}
