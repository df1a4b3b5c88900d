//! Reverse-mode differentiation: one sweep over the recorded nodes of the trace that holds the results and of the enclosing traces.
//! Each op supplies its own rule.

use std::collections::{HashMap, HashSet};

use crate::graph::error::Violation;
use crate::graph::function::{Node, Value};
use crate::graph::op::Reverse;
use crate::graph::tensor::Tensor;
use crate::graph::trace::{Graph, Place};
use crate::graph::tree::{Tree, filled};
use crate::transform::cotangent::{Cotangent, Only};

/// Cotangents of `wrt`, given those of `outputs` (`None` is zero). JAX: `jax.vjp`.
///
/// Integers and values that do not reach an output get zeros of their own type.
///
/// # Errors
/// Recorded in the trace: a cotangent whose type differs from its output's, and operations without a derivative.
#[track_caller]
pub fn vjp(outputs: &[Tensor], cts: &[Option<Tensor>], wrt: &[Tensor]) -> Vec<Tensor> {
    let found = cotangents(outputs, cts, wrt);
    wrt.iter().zip(found).map(|(t, ct)| ct.unwrap_or_else(|| t.zeros_like())).collect()
}

/// Like [`vjp`], but returns `None` for values that reach no output: a zero would become NaN where it meets an infinite derivative.
#[track_caller]
pub(crate) fn cotangents(outputs: &[Tensor], cts: &[Option<Tensor>], wrt: &[Tensor]) -> Vec<Option<Tensor>> {
    let all = || outputs.iter().chain(wrt).chain(cts.iter().flatten());
    if let Some(poison) = all().find(|t| t.is_poison()) {
        return vec![Some(poison.clone()); wrt.len()];
    }
    let Some(first) = outputs.first().map(Tensor::graph) else { return vec![None; wrt.len()] };
    let graph = first.deepest(all());
    if let Some(violation) = all().find_map(|t| graph.check_reach(t).err()) {
        return vec![Some(first.fail("vjp", violation)); wrt.len()];
    }
    let mut sweep = Sweep::new(graph, wrt);
    for (output, ct) in outputs.iter().zip(cts) {
        sweep.seed(output, ct.as_ref());
    }
    sweep.run();
    wrt.iter().map(|t| sweep.cts.get(&t.place()).map(Cotangent::settled)).collect()
}

/// One trace of the sweep.
struct Level {
    graph: Graph,
    nodes: Vec<Node>,
    /// Values of the enclosing traces, each with its counterpart in this one.
    stand_ins: Vec<(Place, Value)>,
}

/// Operations on outer values only are recorded outside, so a path from `wrt` to an output may pass through any of the traces that
/// enclose the output's own.
struct Sweep {
    /// Innermost first.
    levels: Vec<Level>,
    /// Values that depend on `wrt`.
    active: HashSet<Place>,
    cts: HashMap<Place, Cotangent>,
}

impl Sweep {
    fn new(graph: &Graph, wrt: &[Tensor]) -> Sweep {
        // A constant is copied to where it is used, so it may occur at any depth.
        let depth = |t: &Tensor| if t.graph().is_movable(t.value()) { 0 } else { t.graph().depth() };
        let outermost = wrt.iter().map(depth).min().unwrap_or(0);
        let level = |graph: Graph| Level { nodes: graph.snapshot(), stand_ins: graph.stand_ins(), graph };
        let levels: Vec<Level> = graph.and_around().take_while(|g| g.depth() >= outermost).map(level).collect();
        let mut active: HashSet<Place> = wrt.iter().filter(|t| t.dtype().is_float()).map(Tensor::place).collect();
        for level in levels.iter().rev() {
            level.activate(&mut active);
        }
        Sweep { levels, active, cts: HashMap::new() }
    }

    #[track_caller]
    fn seed(&mut self, output: &Tensor, ct: Option<&Tensor>) {
        let Some(ct) = ct else { return };
        if ct.ty() != output.ty() {
            let message = format!("the cotangent {} does not fit the output {}", ct.ty(), output.ty());
            output.graph().fail("vjp", Violation::new("", message));
        } else if self.active.contains(&output.place()) {
            self.accumulate(output.place(), Cotangent::new(ct.clone()));
        }
    }

    fn accumulate(&mut self, place: Place, ct: Cotangent) {
        let sum = match self.cts.remove(&place) {
            Some(sum) => sum.and(&ct),
            None => ct,
        };
        self.cts.insert(place, sum);
    }

    fn run(&mut self) {
        for level in std::mem::take(&mut self.levels) {
            for index in (0..level.nodes.len()).rev() {
                self.visit(&level, index);
            }
            for (outer, own) in level.stand_ins.iter().rev() {
                if let Some(ct) = self.cts.get(&level.graph.place_of(*own)).cloned() {
                    self.accumulate(*outer, ct);
                }
            }
        }
    }

    fn visit(&mut self, level: &Level, index: usize) {
        let node = &level.nodes[index];
        let place = |value: &Value| level.graph.place_of(*value);
        let ct = |output| self.cts.get(&place(&Value { node: index, output })).cloned();
        let cts: Vec<Option<Cotangent>> = (0..node.types.len()).map(ct).collect();
        let needs: Vec<bool> = node.operands.iter().map(|v| self.active.contains(&place(v))).collect();
        if needs.contains(&true) && cts.iter().any(Option::is_some) {
            level.graph.as_from(node, || match &cts[0] {
                Some(ct) if node.op.is_choice() => self.choose(level, index, ct, &needs),
                Some(ct) if node.op.is_elementwise() => {
                    self.reverse(level, index, &[Some(ct.ct.clone())], &needs, ct.only.as_ref());
                }
                _ => {
                    let cts: Vec<Option<Tensor>> = cts.iter().map(|ct| ct.as_ref().map(Cotangent::settled)).collect();
                    self.reverse(level, index, &cts, &needs, None);
                }
            });
        }
    }

    /// Propagates the cotangent of a select to both sides, with the mask still pending.
    fn choose(&mut self, level: &Level, index: usize, ct: &Cotangent, needs: &[bool]) {
        let [mask, yes, no] = level.nodes[index].operands[..] else { unreachable!("a choice has three operands") };
        let mask = level.tensor(mask);
        for (side, is) in [(1, true), (2, false)] {
            if needs[side] {
                self.accumulate(level.graph.place_of(if is { yes } else { no }), ct.only(&mask, is));
            }
        }
    }

    /// Applies an operation's reverse rule to cotangents whose mask `only` is still pending.
    fn reverse(&mut self, level: &Level, index: usize, cts: &[Option<Tensor>], needs: &[bool], only: Option<&Only>) {
        let node = &level.nodes[index];
        let ins: Vec<Tensor> = node.operands.iter().map(|v| level.tensor(*v)).collect();
        let outs: Vec<Tensor> =
            (0..node.types.len()).map(|output| level.tensor(Value { node: index, output })).collect();
        let grads = node.op.vjp(&Reverse { cts, ins: &ins, outs: &outs, needs });
        debug_assert!(
            grads.len() == ins.len() || grads.is_empty(),
            "{} returns a cotangent per operand",
            node.op.name()
        );
        for ((value, grad), (x, needed)) in node.operands.iter().zip(grads).zip(ins.iter().zip(needs)) {
            let Some(grad) = grad.filter(|g| *needed && !g.is_poison()) else { continue };
            if grad.ty() == x.ty() {
                self.accumulate(level.graph.place_of(*value), Cotangent { ct: grad, only: only.cloned() });
            } else {
                let message = format!("its reverse rule returns {} for an operand {}", grad.ty(), x.ty());
                level.graph.fail(node.op.name(), Violation::new("", message));
            }
        }
    }
}

impl Level {
    fn tensor(&self, value: Value) -> Tensor {
        Tensor::new(&self.graph, value, self.nodes[value.node].types[value.output].clone())
    }

    /// Adds this trace's values that depend on active ones; the enclosing traces must be done already.
    fn activate(&self, active: &mut HashSet<Place>) {
        let own = |value: Value| self.graph.place_of(value);
        for (outer, stand_in) in &self.stand_ins {
            if active.contains(outer) {
                active.insert(own(*stand_in));
            }
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if node.op.has_derivative() && node.operands.iter().any(|v| active.contains(&own(*v))) {
                let floats = (0..node.types.len()).filter(|&output| node.types[output].dtype.is_float());
                active.extend(floats.map(|output| own(Value { node: index, output })));
            }
        }
    }
}

/// What a differentiated function returns: its value, alone or with other results (JAX: `has_aux`).
#[diagnostic::on_unimplemented(
    message = "a differentiated function returns a `Tensor` or `(Tensor, others)`, not `{Self}`"
)]
pub trait Objective: Sized {
    /// The value.
    fn value(&self) -> &Tensor;
    /// The same with another value.
    fn with_value(self, value: Tensor) -> Self;
}

impl Objective for Tensor {
    fn value(&self) -> &Tensor {
        self
    }
    fn with_value(self, value: Tensor) -> Tensor {
        value
    }
}

impl<A> Objective for (Tensor, A) {
    fn value(&self) -> &Tensor {
        &self.0
    }
    fn with_value(self, value: Tensor) -> (Tensor, A) {
        (value, self.1)
    }
}

/// A function's value and the gradient of that value with respect to `at`. JAX: `jax.value_and_grad`.
///
/// Only dependence through `f`'s argument counts. The value must be a float scalar. `f` returns it alone, or with other results, which
/// are returned with it (JAX: `has_aux`).
///
/// ```
/// use spiq_hlo::{trace, value_and_grad, DType, TensorType};
/// let f = trace(&[("x", TensorType::new(DType::F32, [3]))], |x| {
///     let (loss, dx) = value_and_grad(&x[0], |x| (x * x).sum());
///     let ((same, squares), _) = value_and_grad(&x[0], |x| ((x * x).sum(), x * x));
///     vec![loss, dx, same, squares]
/// })?;
/// assert_eq!(f.result_types()[1].to_string(), "f32[3]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn value_and_grad<P: Tree, R: Objective>(at: &P, f: impl FnOnce(&P) -> R) -> (R, P) {
    let fresh = at.map(Tensor::identity);
    let result = f(&fresh);
    let value = result.value().clone();
    if !value.is_poison() && (value.rank() != 0 || !value.dtype().is_float()) {
        let message = format!("requires a float scalar to differentiate, got {}; sum or average it", value.ty());
        let poison = value.fail("grad", Violation::new("", message));
        let grads = at.map(|_| poison.clone());
        return (result.with_value(poison), grads);
    }
    let one = value.full_like(1.0);
    let grads = vjp(std::slice::from_ref(&value), &[Some(one)], &fresh.leaves());
    (result, filled(at, &grads))
}

/// The gradient of a scalar function with respect to `at`. JAX: `jax.grad`.
#[track_caller]
pub fn grad<P: Tree>(at: &P, f: impl FnOnce(&P) -> Tensor) -> P {
    value_and_grad(at, f).1
}
