//! Rematerialization: `checkpoint`, and scans that store only every √T-th carry.

use std::ops::Range;
use std::sync::Arc;

use crate::graph::batch::{Mapped, call_mapped};
use crate::graph::error::{GraphErrors, Violation};
use crate::graph::function::{Function, Rewrite};
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::Ranges;
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::graph::tree::{Tree, filled};
use crate::ops::gradient::barrier;
use crate::ops::sample::Sample;
use crate::ops::slice::concatenate;
use crate::scan::operation::{Parts, Scan, in_nests, scan_raw, trace_scan};
use crate::transform::autodiff::cotangents;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// A function of which the backward pass stores only the operands.
#[derive(Debug, PartialEq)]
struct Checkpoint {
    body: Function,
}

impl Op for Checkpoint {
    fn name(&self) -> &'static str {
        "checkpoint"
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        Ok(self.body.result_types())
    }
    fn regions(&self, _: &[TensorType]) -> Vec<Function> {
        vec![self.body.clone()]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let graph = reverse.outs[0].graph();
        // The barrier prevents CSE from merging the recomputation with the original, and delays it until the cotangents are available.
        let given: Vec<Tensor> = reverse.cts.iter().flatten().cloned().collect();
        let apart = barrier(&[reverse.ins, &given].concat());
        let (ins, given) = apart.split_at(reverse.ins.len());
        let mut given = given.iter().cloned();
        let cts: Vec<Option<Tensor>> = reverse.cts.iter().map(|ct| ct.as_ref().and_then(|_| given.next())).collect();
        let wanted: Vec<usize> = (0..ins.len()).filter(|&i| reverse.needs[i]).collect();
        let wrt: Vec<Tensor> = wanted.iter().map(|&i| ins[i].clone()).collect();
        let grads = cotangents(&self.body.call(graph, ins), &cts, &wrt);
        let mut all = vec![None; ins.len()];
        wanted.into_iter().zip(grads).for_each(|(i, grad)| all[i] = grad);
        all
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let size = mapped.size;
        let wide = |result| Mapped::wide(size, result);
        Some(checkpoint_raw(mapped.ins, |graph, args| {
            call_mapped(&self.body, graph, args, mapped.mapped, size).into_iter().map(wide).collect()
        }))
    }
    fn range(&self, of: &Ranges) -> Vec<Option<crate::graph::range::Range>> {
        self.body.ranges(of.ins)
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn is_pure_data(&self) -> bool {
        false
    }
    fn retrace(&self, operands: &[Tensor], rewrite: &mut Rewrite) -> Option<Vec<Tensor>> {
        Some(checkpoint_raw(operands, |graph, args| self.body.rewrite(graph, args, rewrite)))
    }
    fn map_bodies(&self, change: &dyn Fn(&Function) -> Function) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Checkpoint { body: change(&self.body) }))
    }
    fn is_stablehlo(&self, _: &[TensorType]) -> bool {
        false
    }
    fn lower(&self, operands: &[Tensor]) -> Option<Vec<Tensor>> {
        Some(self.body.call(operands[0].graph(), operands))
    }
}

/// Traces a function of `operands` and records it; one poison on failure.
#[track_caller]
fn checkpoint_raw(operands: &[Tensor], f: impl FnOnce(&Graph, &[Tensor]) -> Vec<Tensor>) -> Vec<Tensor> {
    let graph = operands[0].graph().clone();
    if let Some(poison) = operands.iter().find(|t| t.is_poison()) {
        return vec![poison.clone()];
    }
    let closed = graph.body(|inner| {
        let inputs: Vec<Tensor> = operands.iter().map(|t| inner.input_among(t, t.ty().clone())).collect();
        let results = f(inner, &inputs);
        inner.close(&results)
    });
    let Some((body, captures)) = closed else { return vec![Tensor::poison(&graph)] };
    graph.record(Arc::new(Checkpoint { body }), &[&captures, operands].concat())
}

/// Runs `f` on `inputs`; the backward pass stores only the inputs and rematerializes `f`. JAX: `jax.checkpoint`.
///
/// Values and gradients equal those of a direct call, with less memory and one more evaluation of `f`. `f` may use tensors of the
/// surrounding trace, which are also differentiated; operations on those alone are computed once, outside, and stored.
///
/// # Panics
/// When `inputs` has no leaf, because then there is no trace to record in.
///
/// ```
/// use spiq_hlo::{checkpoint, grad, trace, DType, Tensor, TensorType};
/// let f = trace(&[("x", TensorType::new(DType::F32, [8, 512]))], |x| {
///     // Only x is stored for the backward pass, none of the intermediate results.
///     vec![grad(&x[0], |x| checkpoint(x, |x: &Tensor| x.sin().exp().tanh()).sum())]
/// })?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[8,512]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[doc(alias = "remat")]
#[track_caller]
pub fn checkpoint<X: Tree, Y: Tree>(inputs: &X, f: impl FnOnce(&X) -> Y) -> Y {
    let operands = inputs.leaves();
    if let Some(poison) = operands.iter().find(|t| t.is_poison()) {
        return f(&inputs.map(|_| poison.clone())).map(|_| poison.clone());
    }
    let mut template = None;
    let results = checkpoint_raw(&operands, |_, args| {
        let y = f(&filled(inputs, args));
        let leaves = y.leaves();
        template = Some(y);
        leaves
    });
    let y = template.expect("a function with valid operands is traced");
    // A failed function returns one poison for all its results.
    filled(&y, &results)
}

/// A [`scan`](crate::scan()) whose backward pass stores the carry of every `segment`-th step and reruns each segment.
///
/// For `T` steps, it stores `T / segment` carries and what the backward pass of one segment reads and returns for its steps, where a plain
/// scan stores that of `T` steps; `None` chooses a segment of about the square root of `T`, which minimizes memory. Results and gradients equal those of the
/// plain scan; the forward pass is computed twice. JAX: `lax.scan` over `jax.checkpoint` of an inner `lax.scan`.
/// Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
///
/// # Errors
/// Recorded in the trace: those of a scan, and a segment of zero steps.
#[track_caller]
pub fn scan_checkpointed<C: Tree, X: Tree, Y: Tree>(
    init: &C,
    xs: &X,
    segment: Option<usize>,
    f: impl FnOnce(C, X) -> (C, Y),
) -> (C, Y) {
    let (traced, y) = trace_scan(init, xs, f);
    let outputs = match traced {
        Ok((scan, operands)) => scan.in_segments(&operands, segment),
        Err(poison) => vec![poison],
    };
    in_nests(init, &y, &outputs)
}

impl Function {
    /// Turns the outermost scans into [`scan_checkpointed`] ones; call it before differentiating. Scans no longer than a segment remain
    /// unchanged. Operations that [`split_time`](Function::split_time) has moved out of a scan store their operands for all steps of a
    /// tile; to save memory, use short tiles or do not split.
    ///
    /// # Errors
    /// A segment of zero steps.
    pub fn checkpoint_scans(&self, segment: Option<usize>) -> Result<Function, GraphErrors> {
        self.transform(&mut |node, operands| Some(node.op.downcast::<Scan>()?.in_segments(operands, segment)))
    }
}

impl Scan {
    /// The same loop, nested: an outer loop over segments, and a checkpointed inner loop over the steps of each.
    #[track_caller]
    fn in_segments(&self, operands: &[Tensor], segment: Option<usize>) -> Vec<Tensor> {
        let Parts { consts, carries, xs } = self.parts(operands);
        let segment = segment.unwrap_or_else(|| about_the_square_root(self.length).max(1));
        if let Some(poison) = operands.iter().find(|t| t.is_poison()) {
            return vec![poison.clone()];
        }
        if segment == 0 {
            return vec![
                operands[0].fail("scan_checkpointed", Violation::new("", "a segment must have at least 1 step, got 0")),
            ];
        }
        if segment >= self.length {
            return self.clone().on(operands[0].graph(), operands);
        }
        let rest = self.length % segment;
        // The steps that do not fill a segment are processed last; in reverse time these are the first ones of the sequence.
        let (whole, rest) = match self.reverse {
            true => (rest..self.length, 0..rest),
            false => (0..self.length - rest, self.length - rest..self.length),
        };
        let mut outputs = self.whole_segments(consts, carries, &cut(xs, &whole), segment);
        if rest.is_empty() {
            return outputs;
        }
        let ys = outputs.split_off(self.carries);
        let mut last = self.one_segment(consts, &outputs, &cut(xs, &rest), rest.len());
        let more = last.split_off(self.carries);
        let in_time = |(y, z)| if self.reverse { concatenate(&[z, y], 0) } else { concatenate(&[y, z], 0) };
        last.extend(ys.iter().zip(&more).map(in_time));
        last
    }

    #[track_caller]
    fn whole_segments(&self, consts: &[Tensor], init: &[Tensor], xs: &[Tensor], segment: usize) -> Vec<Tensor> {
        let count = self.length / segment;
        let xs: Vec<Tensor> = xs.iter().map(|x| x.reshape(&[&[count, segment], &x.dims()[1..]].concat())).collect();
        let outputs = scan_raw(init, &xs, count, self.reverse, consts, |_, carry, x| {
            let mut outputs = self.one_segment(consts, carry, x, segment);
            let ys = outputs.split_off(self.carries);
            (outputs, ys)
        });
        let joined = |(i, t): (usize, Tensor)| match i < self.carries {
            true => t,
            false => t.reshape(&[&[count * segment], &t.dims()[2..]].concat()),
        };
        outputs.into_iter().enumerate().map(joined).collect()
    }

    #[track_caller]
    fn one_segment(&self, consts: &[Tensor], init: &[Tensor], xs: &[Tensor], length: usize) -> Vec<Tensor> {
        let scan = Scan { length, ..self.clone() };
        checkpoint_raw(&[consts, init, xs].concat(), |graph, operands| scan.on(graph, operands))
    }
}

fn cut(xs: &[Tensor], steps: &Range<usize>) -> Vec<Tensor> {
    let part =
        |x: &Tensor| if x.dims()[0] == steps.len() { x.clone() } else { x.slice_axis(0, steps.start, steps.end) };
    xs.iter().map(part).collect()
}

/// The next divisor of `length` above its square root, so that no steps are left over; the rounded-up square root if there is none nearby.
fn about_the_square_root(length: usize) -> usize {
    let root = length.isqrt() + usize::from(length.isqrt().pow(2) < length);
    (root..=2 * root).find(|d| *d > 0 && length.is_multiple_of(*d)).unwrap_or(root)
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let three_steps = |x: &[Tensor]| {
        let inputs = (x[0].clone(), x[1].clone());
        let (a, b) = checkpoint(&inputs, |(a, w)| (a.dot(w).sin(), (a * &x[2]).tanh()));
        vec![a, b]
    };
    let decay = |x: &[Tensor]| {
        let step = |v: Tensor, row: Tensor| {
            let v = (&v * &x[2]).tanh() + row;
            (v.clone(), &v * &v)
        };
        let (v, trace) = scan_checkpointed(&x[0], &x[1], Some(2), step);
        vec![v, trace]
    };
    vec![
        Sample::new("checkpoint", three_steps).input(f, [2, 3], -1.0, 1.0).input(f, [3, 4], -1.0, 1.0).input(
            f,
            [3],
            -1.0,
            1.0,
        ),
        Sample::new("checkpoint of a scan", decay).input(f, [2, 3], -1.0, 1.0).input(f, [5, 2, 3], -1.0, 1.0).input(
            f,
            [3],
            0.2,
            0.9,
        ),
    ]
}
