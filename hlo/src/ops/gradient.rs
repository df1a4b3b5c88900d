//! Control of differentiation: stop_gradient, custom gradients, and barriers.

use std::sync::Arc;

use crate::graph::batch::{Mapped, call_mapped};
use crate::graph::error::Violation;
use crate::graph::function::{Function, Rewrite};
use crate::graph::lane::Lane;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::graph::tree::{Tree, filled, leaves_like};
use crate::ops::convolution::sum_of_slices;
use crate::ops::dot_general::sum_of_products;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// The identity; it passes no cotangent if `stop` is set.
#[derive(Debug, PartialEq)]
struct Identity {
    stop: bool,
}

impl Op for Identity {
    fn name(&self) -> &'static str {
        if self.stop { "stop_gradient" } else { "identity" }
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Ok(operands.to_vec())
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        vec![(!self.stop).then(|| reverse.ct().clone())]
    }
    fn has_derivative(&self) -> bool {
        !self.stop
    }
    fn is_elementwise(&self) -> bool {
        true
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(Identity { stop: self.stop })
    }
    fn is_stablehlo(&self, _: &[TensorType]) -> bool {
        false
    }
    fn lower(&self, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        Some(operands.to_vec())
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

/// The identity, but its operands are materialized and not fused with their consumers.
#[derive(Debug, PartialEq)]
struct OptimizationBarrier;

impl Op for OptimizationBarrier {
    fn name(&self) -> &'static str {
        "optimization_barrier"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Ok(operands.to_vec())
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        reverse.cts.to_vec()
    }
    fn lane(&self) -> Option<Lane> {
        Some(Lane::Barrier(Box::new(Lane::Operand(0))))
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(OptimizationBarrier)
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let operands: Vec<Tensor> = local.ins.iter().map(|laid| laid.tensor.clone()).collect();
        let held = local.on(&operands).into_iter().zip(local.ins);
        Some(held.map(|(tensor, laid)| Laid { tensor, split: laid.split }).collect())
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        of.ins.to_vec()
    }
}

impl Tensor {
    /// The same values, treated as constants by differentiation. JAX: `lax.stop_gradient`.
    #[track_caller]
    #[doc(alias = "detach")]
    pub fn stop_gradient(&self) -> Tensor {
        self.graph().apply(Identity { stop: true }, &[self])
    }

    /// The same values as a new node, so that a gradient can be taken with respect to this use only.
    #[track_caller]
    pub fn identity(&self) -> Tensor {
        self.graph().apply(Identity { stop: false }, &[self])
    }

    /// The same values, materialized so that they are not fused with their consumers. Spec: optimization_barrier.
    #[track_caller]
    pub fn optimization_barrier(&self) -> Tensor {
        self.graph().apply(OptimizationBarrier, &[self])
    }
}

/// Groups `tensors` behind one barrier, so they become available together and CSE cannot merge them with the originals.
#[track_caller]
pub(crate) fn barrier(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors[0].graph().record(Arc::new(OptimizationBarrier), tensors)
}

/// A function with a user-defined derivative.
#[derive(Debug, PartialEq)]
struct CustomVjp {
    name: &'static str,
    /// From captures and inputs to outputs.
    forward: Function,
    /// From captures, inputs and the outputs' cotangents to the inputs' cotangents.
    backward: Function,
    captures: usize,
    backward_captures: usize,
}

impl CustomVjp {
    /// Operands are the forward's captures, the backward's captures, then the inputs.
    fn split<'a, T>(&self, operands: &'a [T]) -> (&'a [T], &'a [T], &'a [T]) {
        let (forward, rest) = operands.split_at(self.captures);
        let (backward, inputs) = rest.split_at(self.backward_captures);
        (forward, backward, inputs)
    }

    fn forward_args(&self, operands: &[Tensor]) -> Vec<Tensor> {
        let (captures, _, inputs) = self.split(operands);
        [captures, inputs].concat()
    }
}

impl Op for CustomVjp {
    fn name(&self) -> &'static str {
        self.name
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        Ok(self.forward.result_types())
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        if let Some(lost) = (0..self.captures).find(|&i| reverse.needs[i]) {
            let message = format!(
                "its forward function captures {}, for which its backward function returns no cotangent; make it an \
                 input, or a constant with stop_gradient",
                reverse.ins[lost].ty()
            );
            reverse.outs[0].graph().fail(self.name, Violation::new("", message));
            return vec![None; reverse.ins.len()];
        }
        let (_, captures, inputs) = self.split(reverse.ins);
        let cts = reverse.cts.iter().zip(reverse.outs).map(|(ct, y)| ct.clone().unwrap_or_else(|| y.zeros_like()));
        let args: Vec<Tensor> = captures.iter().chain(inputs).cloned().chain(cts).collect();
        let grads = self.backward.call(reverse.ins[0].graph(), &args).into_iter().map(Some);
        let mut all: Cotangents = vec![None; self.captures + self.backward_captures];
        all.extend(grads);
        // An integer input has no cotangent, even if the rule returned one.
        all.iter_mut().zip(reverse.ins).filter(|(_, x)| !x.dtype().is_float()).for_each(|(ct, _)| *ct = None);
        all
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let graph = mapped.ins[0].graph().clone();
        let (forward, backward, inputs) = self.split(mapped.ins);
        let (forward_flags, backward_flags, flags) = self.split(mapped.mapped);
        let size = mapped.size;
        let wide = |result| Mapped::wide(size, result);
        let forward_fn = |x: &Vec<Tensor>| -> Vec<Tensor> {
            let flags = [forward_flags, flags].concat();
            call_mapped(&self.forward, &graph, &[forward, x].concat(), &flags, size).into_iter().map(wide).collect()
        };
        let backward_fn = |x: &Vec<Tensor>, _: &Vec<Tensor>, ct: &Vec<Tensor>| -> Vec<Tensor> {
            let flags_in = [backward_flags, flags, &vec![true; ct.len()]].concat();
            let grads = call_mapped(&self.backward, &graph, &[backward, x, ct].concat(), &flags_in, size);
            // An input shared by all slices accumulates the cotangents of all of them.
            let settle = |(grad, flag): ((Tensor, bool), &bool)| if *flag { wide(grad) } else { sum_front(wide(grad)) };
            grads.into_iter().zip(flags).map(settle).collect()
        };
        Some(custom_vjp(self.name, &inputs.to_vec(), forward_fn, backward_fn))
    }
    fn recompute(&self) -> Recompute {
        self.forward.recompute()
    }
    fn is_pure_data(&self) -> bool {
        false
    }
    fn retrace(&self, operands: &[Tensor], rewrite: &mut Rewrite) -> Option<Vec<Tensor>> {
        let (forward, backward, inputs) = self.split(operands);
        let forward_fn = |x: &Vec<Tensor>| self.forward.rewrite(x[0].graph(), &[forward, x].concat(), rewrite);
        let backward_fn = |x: &Vec<Tensor>, _: &Vec<Tensor>, ct: &Vec<Tensor>| {
            self.backward.call(x[0].graph(), &[backward, x, ct].concat())
        };
        Some(custom_vjp(self.name, &inputs.to_vec(), forward_fn, backward_fn))
    }
    fn map_bodies(&self, change: &dyn Fn(&Function) -> Function) -> Option<Arc<dyn Op>> {
        Some(Arc::new(CustomVjp { forward: change(&self.forward), backward: change(&self.backward), ..*self }))
    }
    fn is_stablehlo(&self, _: &[TensorType]) -> bool {
        false
    }
    fn lower(&self, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        Some(self.forward.call(operands[0].graph(), &self.forward_args(operands)))
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        let (captures, _, inputs) = self.split(of.ins);
        self.forward.ranges(&[captures, inputs].concat())
    }
}

/// A function with a custom derivative. JAX: `jax.custom_vjp`.
///
/// `forward` maps inputs to outputs. `backward` maps inputs, outputs and the outputs' cotangents to one cotangent per input, of that
/// input's type. Both may use tensors of the surrounding trace. `name` appears in dumps of the graph. Only values that `backward` reads
/// are stored for the backward pass.
///
/// # Errors
/// Recorded in the trace: a cotangent whose type differs from its input's; and, if the outputs are differentiated, a captured tensor of
/// `forward` that depends on the differentiated variables, because `backward` returns no cotangent for it. Make it an input, or a
/// constant with [`stop_gradient`](Tensor::stop_gradient).
///
/// # Panics
/// When `inputs` has no leaf, because then there is no trace to record in.
///
/// ```
/// use spiq_hlo::{custom_vjp, trace, DType, TensorType, Tensor};
/// // A step whose derivative is that of a triangle.
/// let spike = |v: &Tensor| custom_vjp(
///     "spike",
///     v,
///     |v: &Tensor| v.gt(0.0).convert(v.dtype()),
///     |v: &Tensor, _, ct: &Tensor| ct * (1.0 - v.abs()).maximum(0.0),
/// );
/// trace(&[("v", TensorType::new(DType::F32, [4]))], |x| vec![spike(&x[0])])?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn custom_vjp<X: Tree, Y: Tree>(
    name: &'static str,
    inputs: &X,
    forward: impl FnOnce(&X) -> Y,
    backward: impl FnOnce(&X, &Y, &Y) -> X,
) -> Y {
    let operands = inputs.leaves();
    let graph = operands[0].graph().clone();
    let (y, closed) = graph.body(|inner| {
        let y = forward(&filled(inputs, &declare(inner, &operands)));
        let closed = inner.close(&y.leaves());
        (y, closed)
    });
    let Some((forward, captures)) = closed else { return y.map(|_| Tensor::poison(&graph)) };
    let closed = graph.body(|inner| {
        let x = filled(inputs, &declare(inner, &operands));
        let again = forward.call(inner, &[captures.clone(), x.leaves()].concat());
        let cts = filled(&y, &again.iter().map(|t| cotangent(inner, t)).collect::<Vec<_>>());
        let grads = backward(&x, &filled(&y, &again), &cts);
        let grads = leaves_like(inputs, &grads, inner, name, ("the cotangent", "the input"));
        check_cotangents(inner, name, &operands, &grads);
        inner.close(&grads)
    });
    let Some((backward, backward_captures)) = closed else { return y.map(|_| Tensor::poison(&graph)) };
    let (c, b) = (captures.len(), backward_captures.len());
    let op = CustomVjp { name, forward, backward, captures: c, backward_captures: b };
    filled(&y, &graph.record(Arc::new(op), &[captures, backward_captures, operands].concat()))
}

/// The sum over axis 0, folded into the dot product or convolution that computes the tensor if possible.
fn sum_front(tensor: Tensor) -> Tensor {
    if tensor.is_poison() {
        return tensor;
    }
    let within = sum_of_products(&tensor).or_else(|| sum_of_slices(&tensor));
    within.unwrap_or_else(|| tensor.reduce_sum([0]))
}

/// Parameters with the types and ranges of `like`; poison stays poison.
fn declare(graph: &Graph, like: &[Tensor]) -> Vec<Tensor> {
    like.iter().map(|t| if t.is_poison() { t.clone() } else { graph.input_among(t, t.ty().clone()) }).collect()
}

/// A parameter for the cotangent of `y`.
fn cotangent(graph: &Graph, y: &Tensor) -> Tensor {
    if y.is_poison() { y.clone() } else { graph.input("", y.ty().clone()) }
}

fn check_cotangents(graph: &Graph, name: &str, inputs: &[Tensor], grads: &[Tensor]) {
    for (x, g) in inputs.iter().zip(grads) {
        if x.dtype().is_float() && !g.is_poison() && g.ty() != x.ty() {
            let message = format!("the backward function returns {} as the cotangent of {}", g.ty(), x.ty());
            graph.fail_results(name, Violation::new("", message));
        }
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    vec![
        Sample::new("identity", |x| vec![x[0].identity() * &x[0]]).input(f, [3], -1.0, 1.0),
        Sample::new("optimization_barrier", |x| vec![(&x[0] * 2.0).optimization_barrier() * &x[0]]).input(
            f,
            [3],
            -1.0,
            1.0,
        ),
        Sample::new("custom_vjp", |x| {
            let (a, b) = (&x[0], &x[1]);
            let product = |(a, b): &(Tensor, Tensor)| a * b;
            let rule = |(a, b): &(Tensor, Tensor), _: &Tensor, ct: &Tensor| (ct * b, ct * a);
            vec![custom_vjp("custom_vjp", &(a.clone(), b.clone()), product, rule)]
        })
        .input(f, [3], -1.0, 1.0)
        .input(f, [3], -1.0, 1.0),
    ]
}
