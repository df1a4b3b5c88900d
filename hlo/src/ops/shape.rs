//! Layout changes: reshape, transpose, broadcast_in_dim, and numpy's broadcasting built on them.

use std::sync::Arc;

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::op::{Cotangents, Infer, Op, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local, Split};
use crate::graph::tensor::Tensor;
use crate::ops::sample::Sample;
use crate::print::literal::array_i64;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

#[derive(Debug, PartialEq)]
struct Reshape(Vec<usize>);

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let ty = operands[0].with_dims(self.0.clone());
        if ty.count() != operands[0].count() {
            return Err(Violation::new("C2", format!("{} and {ty} differ in number of elements", operands[0])));
        }
        Ok(vec![ty])
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        vec![Some(reverse.ct().reshape(reverse.ins[0].dims()))]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let dims: Vec<usize> = [mapped.size].iter().chain(&self.0).copied().collect();
        Some(vec![mapped.ins[0].reshape(&dims)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let split = local.split(0)?.reshaped(&local.dims(0), &self.0, local.devices())?;
        Local::one(local.ins[0].tensor.reshape(&split.part(&self.0, local.devices())), split)
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Transpose(pub(crate) Vec<usize>);

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        if sorted.iter().copied().ne(0..operands[0].rank()) {
            return Err(Violation::new("C2", format!("{:?} does not permute the axes of {}", self.0, operands[0])));
        }
        Ok(vec![operands[0].with_dims(self.0.iter().map(|&i| operands[0].dims[i]).collect::<Vec<_>>())])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("permutation", array_i64(&self.0))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let mut inverse = vec![0; self.0.len()];
        self.0.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        vec![Some(reverse.ct().transpose(&inverse))]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let permutation: Vec<usize> = std::iter::once(0).chain(self.0.iter().map(|i| i + 1)).collect();
        Some(vec![mapped.ins[0].transpose(&permutation)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let split = local.split(0)?;
        let to = self.0.iter().position(|&from| from == split.axis)?;
        Local::one(local.ins[0].tensor.transpose(&self.0), split.at(to))
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

/// The operand broadcast to a larger shape, repeated along the axes that it lacks.
#[derive(Debug, PartialEq)]
pub struct BroadcastInDim {
    dims: Vec<usize>,
    /// The axis of the result that corresponds to each axis of the operand.
    pub axes: Vec<usize>,
}

impl Op for BroadcastInDim {
    fn name(&self) -> &'static str {
        "broadcast_in_dim"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let (from, to) = (&operands[0], operands[0].with_dims(self.dims.clone()));
        if self.axes.len() != from.rank() {
            return Err(Violation::new("C2", format!("{} axes are given for {from}", self.axes.len())));
        }
        if let Some(axis) = self.axes.iter().find(|&&a| a >= to.rank()) {
            return Err(Violation::new("C3", format!("axis {axis} is not an axis of {to}")));
        }
        if (1..self.axes.len()).any(|i| self.axes[..i].contains(&self.axes[i])) {
            return Err(Violation::new("C4", format!("{:?} names an axis of {to} twice", self.axes)));
        }
        if from.dims.iter().zip(&self.axes).any(|(&d, &a)| d != 1 && d != to.dims[a]) {
            return Err(Violation::new("C5", format!("{from} does not broadcast to {to} along {:?}", self.axes)));
        }
        Ok(vec![to])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("broadcast_dimensions", array_i64(&self.axes))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let dims = reverse.ins[0].dims();
        let grown = |axis: &usize| match self.axes.iter().position(|a| a == axis) {
            Some(i) => dims[i] == 1 && self.dims[*axis] != 1,
            None => true,
        };
        let summed: Vec<usize> = (0..self.dims.len()).filter(grown).collect();
        let kept: Vec<usize> = (0..self.dims.len()).filter(|a| !summed.contains(a)).collect();
        let sum = reverse.ct().reduce_sum(&summed);
        // The remaining axes are in the order of the result; the operand's order may differ.
        let order: Vec<usize> = self.axes.iter().filter_map(|axis| kept.iter().position(|k| k == axis)).collect();
        vec![Some(sum.transpose(&order).reshape(dims))]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let dims: Vec<usize> = [mapped.size].iter().chain(&self.dims).copied().collect();
        let axes: Vec<usize> = std::iter::once(0).chain(self.axes.iter().map(|a| a + 1)).collect();
        Some(vec![mapped.ins[0].broadcast_in_dim(&dims, &axes)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let split = local.split(0)?;
        let to = split.at(self.axes[split.axis]);
        Local::one(local.ins[0].tensor.broadcast_in_dim(&to.part(&self.dims, local.devices()), &self.axes), to)
    }
    fn for_part(&self, split: Split, dims: &[usize]) -> Option<Arc<dyn Op>> {
        let part = || BroadcastInDim { dims: dims.to_vec(), axes: self.axes.clone() };
        (!self.axes.contains(&split.axis)).then(|| Arc::new(part()) as Arc<dyn Op>)
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

impl Tensor {
    /// The same elements in row-major order with another shape. Spec: reshape.
    #[track_caller]
    pub fn reshape(&self, dims: &[usize]) -> Tensor {
        if self.dims() == dims && !self.is_poison() {
            return self.clone();
        }
        self.graph().apply(Reshape(dims.to_vec()), &[self])
    }

    /// Axis `i` of the result is axis `permutation[i]` of this tensor. Spec: transpose.
    #[track_caller]
    #[doc(alias = "permute")]
    pub fn transpose(&self, permutation: &[usize]) -> Tensor {
        if permutation.iter().copied().eq(0..self.rank()) && !self.is_poison() {
            return self.clone();
        }
        self.graph().apply(Transpose(permutation.to_vec()), &[self])
    }

    /// Axis `i` of this tensor becomes axis `axes[i]` of the result; axes of size 1 are repeated. Spec: broadcast_in_dim.
    #[track_caller]
    pub fn broadcast_in_dim(&self, dims: &[usize], axes: &[usize]) -> Tensor {
        if self.dims() == dims && axes.iter().copied().eq(0..dims.len()) && !self.is_poison() {
            return self.clone();
        }
        self.graph().apply(BroadcastInDim { dims: dims.to_vec(), axes: axes.to_vec() }, &[self])
    }

    /// Broadcasts this tensor to `dims` like numpy's `broadcast_to`: axes are aligned at the end.
    #[track_caller]
    #[doc(alias = "expand")]
    pub fn broadcast_to(&self, dims: &[usize]) -> Tensor {
        self.broadcast_to_dims(dims, "broadcast_to")
    }

    /// [`broadcast_to`](Tensor::broadcast_to) for `op`, which error messages name.
    #[track_caller]
    pub(crate) fn broadcast_to_dims(&self, dims: &[usize], op: &str) -> Tensor {
        if self.is_poison() || self.dims() == dims {
            return self.clone();
        }
        match numpy_dims(self.dims(), dims) {
            Some(joint) if joint == dims => {
                let skip = dims.len() - self.rank();
                self.broadcast_in_dim(dims, &(skip..dims.len()).collect::<Vec<_>>())
            }
            _ => {
                let message = format!("{} does not broadcast to {}", self.ty(), self.ty().with_dims(dims));
                self.fail(op, Violation::new("", message))
            }
        }
    }

    /// Both tensors broadcast to their joint shape, as in numpy, for `op`, which error messages name.
    #[track_caller]
    pub(crate) fn broadcast_with(&self, other: &Tensor, op: &str) -> (Tensor, Tensor) {
        if self.is_poison() || other.is_poison() || self.dims() == other.dims() {
            return (self.clone(), other.clone());
        }
        match numpy_dims(self.dims(), other.dims()) {
            Some(dims) => (self.broadcast_to_dims(&dims, op), other.broadcast_to_dims(&dims, op)),
            None => {
                let message = format!("{} and {} do not broadcast together", self.ty(), other.ty());
                let poison = self.fail(op, Violation::new("", message));
                (poison.clone(), poison)
            }
        }
    }

    /// The tensor with an axis of size 1 inserted before `axis` (negative: counted from the end, -1 appends).
    #[track_caller]
    #[doc(alias = "unsqueeze")]
    pub fn expand_dims(&self, axis: isize) -> Tensor {
        let rank = self.rank() as isize;
        let at = if axis < 0 { axis + rank + 1 } else { axis };
        if !(0..=rank).contains(&at) {
            return self
                .fail("expand_dims", Violation::new("", format!("axis {axis} is out of range for {}", self.ty())));
        }
        let mut dims = self.dims().to_vec();
        dims.insert(at as usize, 1);
        self.reshape(&dims)
    }

    /// The tensor with two axes (negative: counted from the end) exchanged. JAX: `jnp.swapaxes`.
    #[track_caller]
    #[doc(alias = "swapaxes")]
    pub fn swap_axes(&self, first: isize, second: isize) -> Tensor {
        match (self.axis(first), self.axis(second)) {
            (Ok(first), Ok(second)) => {
                let mut permutation: Vec<usize> = (0..self.rank()).collect();
                permutation.swap(first, second);
                self.transpose(&permutation)
            }
            (Err(violation), _) | (_, Err(violation)) => self.fail("swap_axes", violation),
        }
    }

    /// The tensor with axis `from` (negative: counted from the end) moved to position `to`; the others keep their order. JAX:
    /// `jnp.moveaxis`.
    ///
    /// ```
    /// use spiq_hlo::{trace, DType, TensorType};
    /// let f = trace(&[("x", TensorType::new(DType::F32, [2, 3, 5]))], |x| vec![x[0].move_axis(-1, 0), x[0].swap_axes(-1, 0)])?;
    /// assert_eq!(f.result_types().iter().map(|ty| ty.to_string()).collect::<Vec<_>>(), ["f32[5,2,3]", "f32[5,3,2]"]);
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    #[doc(alias = "moveaxis")]
    pub fn move_axis(&self, from: isize, to: isize) -> Tensor {
        match (self.axis(from), self.axis(to)) {
            (Ok(from), Ok(to)) => {
                let mut permutation: Vec<usize> = (0..self.rank()).filter(|&axis| axis != from).collect();
                permutation.insert(to, from);
                self.transpose(&permutation)
            }
            (Err(violation), _) | (_, Err(violation)) => self.fail("move_axis", violation),
        }
    }

    /// Swaps the last two axes.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        let mut permutation: Vec<usize> = (0..self.rank()).collect();
        if self.rank() < 2 {
            return self.fail("t", Violation::new("", format!("{} has fewer than two axes", self.ty())));
        }
        permutation.swap(self.rank() - 2, self.rank() - 1);
        self.transpose(&permutation)
    }
}

/// The joint shape of two shapes under numpy's rules, if they are compatible.
fn numpy_dims(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |j| dims[j]);
    let joint = |(a, b): (usize, usize)| match (a, b) {
        (1, b) => Some(b),
        (a, 1) => Some(a),
        (a, b) => (a == b).then_some(a),
    };
    (0..rank).map(|i| joint((at(a, i), at(b, i)))).collect()
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let weighted = |y: Tensor| {
        let count = y.ty().count();
        let ramp = y.graph().iota(TensorType::new(DType::F64, [count]), 0).reshape(y.dims());
        vec![y * ramp]
    };
    vec![
        Sample::new("reshape", move |x| weighted(x[0].reshape(&[3, 2]))).input(f, [2, 3], -1.0, 1.0),
        Sample::new("transpose", move |x| weighted(x[0].transpose(&[2, 0, 1]))).input(f, [2, 3, 4], -1.0, 1.0),
        Sample::new("broadcast_in_dim", move |x| weighted(x[0].broadcast_in_dim(&[2, 3, 4], &[2, 0]))).input(
            f,
            [4, 1],
            -1.0,
            1.0,
        ),
        Sample::new("broadcast_to", move |x| weighted(x[0].broadcast_to(&[2, 3, 4]))).input(f, [3, 1], -1.0, 1.0),
    ]
}
