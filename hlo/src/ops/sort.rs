//! Sorts several tensors by the leading ones, the keys.

use std::sync::Arc;

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::function::Function;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// A stable sort of all operands along an axis, ascending by the first `keys` of them.
#[derive(Clone, Debug, PartialEq)]
struct Sort {
    axis: usize,
    keys: usize,
}

impl Sort {
    #[track_caller]
    fn on(&self, operands: &[Tensor]) -> Vec<Tensor> {
        operands[0].graph().clone().record(Arc::new(self.clone()), operands)
    }
}

impl Op for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let first = &operands[0];
        if let Some(other) = operands.iter().find(|t| t.dims != first.dims) {
            return Err(Violation::new("C3", format!("{first} and {other} differ in shape")));
        }
        if self.axis >= first.rank() {
            return Err(Violation::new("C4", format!("axis {} is not an axis of {first}", self.axis)));
        }
        if self.keys == 0 || self.keys > operands.len() {
            return Err(Violation::new("", format!("{} of {} operands are keys", self.keys, operands.len())));
        }
        Ok(operands.to_vec())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("dimension", format!("{} : i64", self.axis)), ("is_stable", "true".to_owned())]
    }
    fn regions(&self, operands: &[TensorType]) -> Vec<Function> {
        let graph = Graph::new();
        let scalar = |ty: &TensorType| graph.input("", TensorType::scalar(ty.dtype));
        let pairs: Vec<(Tensor, Tensor)> = operands.iter().map(|ty| (scalar(ty), scalar(ty))).collect();
        vec![graph.finish(&[precedes(&pairs[..self.keys])]).expect("keys of one type each")]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let first = &reverse.ins[0];
        let place = first.graph().iota(first.ty().with_dtype(DType::S32), self.axis);
        let sorted = self.on(&[reverse.ins, &[place]].concat());
        // The original index of each element; sorting by it returns cotangents to their elements.
        let origin = sorted.last().expect("as many results as operands").clone();
        let given: Vec<Tensor> = reverse.cts.iter().flatten().cloned().collect();
        let back = Sort { axis: self.axis, keys: 1 }.on(&[&[origin], &given[..]].concat());
        let mut back = back.into_iter().skip(1);
        reverse.cts.iter().map(|ct| ct.as_ref().and_then(|_| back.next())).collect()
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        Some(Sort { axis: self.axis + 1, keys: self.keys }.on(&mapped.operands()))
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        local.main_split().filter(|split| split.axis != self.axis).and_then(|split| local.alike(split))
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        of.ins.to_vec()
    }
}

/// Whether the left tuple comes before the right one. NaN sorts last, as in numpy.
fn precedes(pairs: &[(Tensor, Tensor)]) -> Tensor {
    let ((a, b), rest) = pairs.split_first().expect("at least one key");
    let (mut before, mut same) = (a.lt(b), a.eq(b));
    if a.dtype().is_float() {
        let (a_nan, b_nan) = (a.ne(a), b.ne(b));
        before = before.or(b_nan.and(a_nan.not()));
        same = same.or(a_nan.and(&b_nan));
    }
    if rest.is_empty() { before } else { before.or(same.and(precedes(rest))) }
}

/// Sorts all `operands` along `axis` (negative: counted from the end), ascending by the first `keys` of them; the sort is stable, and
/// NaN sorts last. Spec: sort. JAX: `lax.sort`.
///
/// # Errors
/// Recorded in the trace: operands of different shapes, no such axis, no key.
///
/// # Panics
/// When `operands` is empty, because then there is no trace to record an error in.
///
/// ```
/// use spiq_hlo::{sort, trace, DType, TensorType};
/// // Keys with values.
/// let inputs = [("x", TensorType::new(DType::F32, [8])), ("y", TensorType::new(DType::S32, [8]))];
/// let f = trace(&inputs, |x| sort(&[&x[0], &x[1]], 0, 1))?;
/// assert_eq!(f.result_types(), f.input_types());
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn sort(operands: &[&Tensor], axis: isize, keys: usize) -> Vec<Tensor> {
    let first = operands[0];
    let outputs = match first.axis(axis) {
        _ if operands.iter().any(|t| t.is_poison()) => vec![Tensor::poison(first.graph())],
        Ok(axis) => Sort { axis, keys }.on(&operands.iter().map(|&t| t.clone()).collect::<Vec<_>>()),
        Err(violation) => vec![first.fail("sort", violation)],
    };
    // A failed operation returns one poison; callers expect one result per operand.
    outputs.iter().chain(std::iter::repeat(&outputs[0])).take(operands.len()).cloned().collect()
}

impl Tensor {
    /// The elements in ascending order along `axis` (negative: counted from the end). Spec: sort.
    #[track_caller]
    pub fn sort(&self, axis: isize) -> Tensor {
        sort(&[self], axis, 1).swap_remove(0)
    }

    /// The indices (`s32`) that sort the elements in ascending order along `axis`; the sort is stable.
    #[track_caller]
    pub fn argsort(&self, axis: isize) -> Tensor {
        let along = match self.axis(axis) {
            Ok(along) => along,
            Err(violation) => return self.fail("argsort", violation),
        };
        let place = self.graph().iota(self.ty().with_dtype(DType::S32), along);
        sort(&[self, &place], axis, 1).swap_remove(1)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    vec![
        Sample::new("sort", |x| vec![x[0].sort(1).exp() * x[0].graph().iota(x[0].ty().clone(), 1)]).input(
            f,
            [3, 7],
            -1.0,
            1.0,
        ),
        Sample::new("sort by two keys", |x| sort(&[&x[0], &x[1], &x[2]], 0, 2))
            .input(DType::S32, [9, 2], 0.0, 2.0)
            .input(f, [9, 2], -1.0, 1.0)
            .input(f, [9, 2], -1.0, 1.0),
        Sample::new("argsort", |x| vec![x[0].argsort(-1)]).input(f, [3, 7], -1.0, 1.0).forward_only(),
    ]
}
