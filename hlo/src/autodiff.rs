//! Reverse-mode differentiation: one sweep over the recorded nodes. Knows no particular op; each brings its rule.

use std::collections::HashMap;

use crate::error::Violation;
use crate::function::{Node, Value};
use crate::graph::Graph;
use crate::op::Reverse;
use crate::tensor::Tensor;
use crate::tree::Tree;

/// Cotangents of `wrt`, given those of `outputs` (`None` stands for zero). JAX: `jax.vjp`.
///
/// Values of `wrt` that do not reach an output, and integers, get zeros of their own type.
///
/// # Errors
/// Kept in the trace: a cotangent whose type is not its output's, and operations without a derivative.
#[track_caller]
pub fn vjp(outputs: &[Tensor], cts: &[Option<Tensor>], wrt: &[Tensor]) -> Vec<Tensor> {
    let poison = outputs.iter().chain(wrt).chain(cts.iter().flatten()).find(|t| t.is_poison());
    if let Some(poison) = poison {
        return vec![poison.clone(); wrt.len()];
    }
    let all = outputs.iter().chain(cts.iter().flatten());
    let graph = all.map(Tensor::graph).max_by_key(|g| g.depth()).expect("at least one output").clone();
    let lifted: Result<Vec<Value>, Violation> = wrt.iter().chain(outputs).map(|t| graph.lift(t)).collect();
    let lifted = match lifted {
        Ok(values) => values,
        Err(violation) => return vec![graph.fail("vjp", violation); wrt.len()],
    };
    let (wrt_values, output_values) = lifted.split_at(wrt.len());
    let mut sweep = Sweep::new(&graph, wrt_values);
    for ((output, value), ct) in outputs.iter().zip(output_values).zip(cts) {
        sweep.seed(output, *value, ct.as_ref());
    }
    sweep.run();
    wrt.iter().zip(wrt_values).map(|(t, v)| sweep.cts.remove(v).unwrap_or_else(|| t.zeros_like())).collect()
}

struct Sweep<'a> {
    graph: &'a Graph,
    nodes: Vec<Node>,
    /// Which values lie on a path from `wrt`.
    active: Vec<Vec<bool>>,
    cts: HashMap<Value, Tensor>,
}

impl<'a> Sweep<'a> {
    fn new(graph: &'a Graph, wrt: &[Value]) -> Sweep<'a> {
        let nodes = graph.snapshot();
        let mut active: Vec<Vec<bool>> = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let reached = node.operands.iter().any(|v| active[v.node][v.output]);
            let flag = |output| {
                let wanted = reached || wrt.contains(&Value { node: index, output });
                wanted && node.types[output].dtype.is_float()
            };
            active.push((0..node.types.len()).map(flag).collect());
        }
        Sweep { graph, nodes, active, cts: HashMap::new() }
    }

    #[track_caller]
    fn seed(&mut self, output: &Tensor, value: Value, ct: Option<&Tensor>) {
        let Some(ct) = ct else { return };
        if ct.ty() != output.ty() {
            let message = format!("the cotangent {} does not fit the output {}", ct.ty(), output.ty());
            self.graph.fail("vjp", Violation::new("", message));
        } else if self.active[value.node][value.output] {
            self.accumulate(value, ct.clone());
        }
    }

    fn accumulate(&mut self, value: Value, ct: Tensor) {
        let sum = match self.cts.remove(&value) {
            Some(sum) => sum + ct,
            None => ct,
        };
        self.cts.insert(value, sum);
    }

    fn run(&mut self) {
        for index in (0..self.nodes.len()).rev() {
            let node = self.nodes[index].clone();
            let cts: Vec<Option<Tensor>> =
                (0..node.types.len()).map(|output| self.cts.get(&Value { node: index, output }).cloned()).collect();
            let needs: Vec<bool> = node.operands.iter().map(|v| self.active[v.node][v.output]).collect();
            if needs.contains(&true) && cts.iter().any(Option::is_some) {
                let graph = self.graph;
                graph.as_from(&node, || self.visit(index, &node, &cts, &needs));
            }
        }
    }

    fn visit(&mut self, index: usize, node: &Node, cts: &[Option<Tensor>], needs: &[bool]) {
        let tensor = |v: &Value| Tensor::new(self.graph, *v, self.nodes[v.node].types[v.output].clone());
        let ins: Vec<Tensor> = node.operands.iter().map(tensor).collect();
        let outs: Vec<Tensor> = (0..node.types.len()).map(|output| tensor(&Value { node: index, output })).collect();
        let grads = node.op.vjp(&Reverse { cts, ins: &ins, outs: &outs, needs });
        debug_assert!(
            grads.len() == ins.len() || grads.is_empty(),
            "{} returns a cotangent per operand",
            node.op.name()
        );
        for ((value, grad), (x, needed)) in node.operands.iter().zip(grads).zip(ins.iter().zip(needs)) {
            let Some(grad) = grad.filter(|g| *needed && !g.is_poison()) else { continue };
            if grad.ty() == x.ty() {
                self.accumulate(*value, grad);
            } else {
                let message = format!("its reverse rule returns {} for an operand {}", grad.ty(), x.ty());
                self.graph.fail(node.op.name(), Violation::new("", message));
            }
        }
    }
}

/// A function's value and the gradient of that value with respect to `at`. JAX: `jax.value_and_grad`.
///
/// Only what reaches the value through `f`'s argument counts. The value must be a float scalar; other results of the
/// computation go into the second part of `f`'s return (`()` for none; JAX: `has_aux`).
///
/// ```
/// use spiq_hlo::{trace, value_and_grad, DType, TensorType};
/// let f = trace(&[("x", TensorType::new(DType::F32, [3]))], |x| {
///     let ((loss, ()), dx) = value_and_grad(&x[0], |x| ((x * x).sum(), ()));
///     vec![loss, dx]
/// })?;
/// assert_eq!(f.result_types()[1].to_string(), "f32[3]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn value_and_grad<P: Tree, A: Tree>(at: &P, f: impl FnOnce(&P) -> (Tensor, A)) -> ((Tensor, A), P) {
    let fresh = at.map(Tensor::identity);
    let (value, aux) = f(&fresh);
    if !value.is_poison() && (value.rank() != 0 || !value.dtype().is_float()) {
        let message = format!("wants a float scalar to differentiate, got {}; sum or average it", value.ty());
        let poison = value.fail("grad", Violation::new("", message));
        let grads = at.map(|_| poison.clone());
        return ((poison, aux), grads);
    }
    let one = value.full_like(1.0);
    let grads = vjp(std::slice::from_ref(&value), &[Some(one)], &fresh.leaves());
    ((value, aux), at.with_leaves(grads))
}

/// The gradient of a scalar function with respect to `at`. JAX: `jax.grad`.
#[track_caller]
pub fn grad<P: Tree>(at: &P, f: impl FnOnce(&P) -> Tensor) -> P {
    value_and_grad(at, |p| (f(p), ())).1
}
