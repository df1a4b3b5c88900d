//! Parts of tensors: slice, pad, concatenate, reverse, and slices at computed positions.

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::op::{Cotangents, Infer, Op, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::ops::constant::Operand;
use crate::ops::gather::WindowDims;
use crate::ops::sample::Sample;
use crate::print::literal::{array_i64, array_signed};
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

#[derive(Clone, Debug, PartialEq)]
struct Slice {
    start: Vec<usize>,
    limit: Vec<usize>,
    stride: Vec<usize>,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let x = &operands[0];
        if [&self.start, &self.limit, &self.stride].iter().any(|v| v.len() != x.rank()) {
            return Err(Violation::new(
                "C2",
                format!("{:?} to {:?} does not have one entry per axis of {x}", self.start, self.limit),
            ));
        }
        let inside = |i: usize| self.start[i] <= self.limit[i] && self.limit[i] <= x.dims[i];
        if let Some(i) = (0..x.rank()).find(|&i| !inside(i)) {
            let message = format!("{}..{} along axis {i} is not inside {x}", self.start[i], self.limit[i]);
            return Err(Violation::new("C3", message));
        }
        if let Some(i) = (0..x.rank()).find(|&i| self.stride[i] == 0) {
            return Err(Violation::new("C4", format!("the stride along axis {i} of {x} is 0")));
        }
        let size = |i: usize| (self.limit[i] - self.start[i]).div_ceil(self.stride[i]);
        Ok(vec![x.with_dims((0..x.rank()).map(size).collect::<Vec<_>>())])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("limit_indices", array_i64(&self.limit)),
            ("start_indices", array_i64(&self.start)),
            ("strides", array_i64(&self.stride)),
        ]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, x) = (reverse.ct(), &reverse.ins[0]);
        let inner: Vec<usize> = self.stride.iter().map(|s| s - 1).collect();
        let covered = |i: usize| (ct.dims()[i].max(1) - 1) * self.stride[i] + usize::from(ct.dims()[i] > 0);
        let low: Vec<i64> = self.start.iter().map(|&s| s as i64).collect();
        let high: Vec<i64> =
            (0..x.rank()).map(|i| x.dims()[i] as i64 - self.start[i] as i64 - covered(i) as i64).collect();
        vec![Some(ct.pad(0.0, &low, &high, &inner))]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let front =
            |first: usize, rest: &[usize]| std::iter::once(first).chain(rest.iter().copied()).collect::<Vec<_>>();
        let (start, limit) = (front(0, &self.start), front(mapped.size, &self.limit));
        Some(vec![mapped.ins[0].slice(&start, &limit, &front(1, &self.stride))])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let (split, dims) = (local.split(0)?, local.dims(0));
        let axis = split.axis;
        let all = (self.start[axis], self.limit[axis], self.stride[axis]) == (0, dims[axis], 1);
        let limit = split.part(&self.limit, local.devices());
        all.then(|| Local::one(local.ins[0].tensor.slice(&self.start, &limit, &self.stride), split))?
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Pad {
    low: Vec<i64>,
    high: Vec<i64>,
    interior: Vec<usize>,
}

impl Pad {
    #[track_caller]
    fn on(&self, x: &Tensor, value: &Tensor) -> Tensor {
        x.graph().apply(self.clone(), &[x, value])
    }
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let (x, value) = (&operands[0], &operands[1]);
        if *value != TensorType::scalar(x.dtype) {
            return Err(Violation::new("C1", format!("the padding value {value} does not fit {x}")));
        }
        if self.low.len() != x.rank() || self.high.len() != x.rank() || self.interior.len() != x.rank() {
            return Err(Violation::new("C2", format!("the padding does not have one entry per axis of {x}")));
        }
        let size = |i: usize| {
            let d = x.dims[i] as i64;
            d + self.low[i] + (d - 1).max(0) * self.interior[i] as i64 + self.high[i]
        };
        if let Some(i) = (0..x.rank()).find(|&i| size(i) < 0) {
            return Err(Violation::new("C4", format!("axis {i} of {x} would have size {}", size(i))));
        }
        Ok(vec![x.with_dims((0..x.rank()).map(|i| size(i) as usize).collect::<Vec<_>>())])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("edge_padding_high", array_signed(&self.high)),
            ("edge_padding_low", array_signed(&self.low)),
            ("interior_padding", array_i64(&self.interior)),
        ]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, x) = (reverse.ct(), &reverse.ins[0]);
        let negated = |v: &[i64]| v.iter().map(|n| -n).collect::<Vec<_>>();
        let none = vec![0; x.rank()];
        // Crop the edges (negative padding), then take every (interior + 1)-th element.
        let cut = ct.pad(0.0, &negated(&self.low), &negated(&self.high), &none);
        let stride: Vec<usize> = self.interior.iter().map(|i| i + 1).collect();
        let dx = cut.slice(&none, cut.dims(), &stride);
        let dv = reverse.needs[1].then(|| ct.sum() - dx.sum());
        vec![Some(dx), dv]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        if mapped.mapped[1] {
            return mapped.through(|x| {
                let filled = self.on(&x[0], &x[1].zeros_like());
                let inside = self.on(
                    &x[0].graph().full(x[0].ty().with_dtype(DType::Pred), 1.0),
                    &x[0].graph().scalar(DType::Pred, 0.0),
                );
                vec![inside.select(&filled, &x[1].broadcast_to(filled.dims()))]
            });
        }
        let front = |v: &[i64]| std::iter::once(0).chain(v.iter().copied()).collect::<Vec<_>>();
        let interior = std::iter::once(0).chain(self.interior.iter().copied()).collect();
        let op = Pad { low: front(&self.low), high: front(&self.high), interior };
        Some(vec![op.on(&mapped.ins[0], &mapped.ins[1])])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let split = local.split(0)?;
        let axis = split.axis;
        let none = (self.low[axis], self.high[axis], self.interior[axis]) == (0, 0, 0);
        none.then(|| Local::one(self.on(&local.ins[0].tensor, &local.whole(1)), split))?
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.of_any(&[0, 1])]
    }
}

#[derive(Debug, PartialEq)]
struct Concatenate(usize);

impl Op for Concatenate {
    fn name(&self) -> &'static str {
        "concatenate"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let first = &operands[0];
        if self.0 >= first.rank() {
            return Err(Violation::new("C4", format!("axis {} is not an axis of {first}", self.0)));
        }
        let fits = |t: &TensorType| {
            let same = |i: usize| i == self.0 || t.dims[i] == first.dims[i];
            t.dtype == first.dtype && t.rank() == first.rank() && (0..t.rank()).all(same)
        };
        if let Some(other) = operands.iter().find(|t| !fits(t)) {
            return Err(Violation::new("C2", format!("{first} and {other} do not join along axis {}", self.0)));
        }
        let mut dims = first.dims.clone();
        dims[self.0] = operands.iter().map(|t| t.dims[self.0]).sum();
        Ok(vec![first.with_dims(dims)])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("dimension", format!("{} : i64", self.0))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let mut at = 0;
        let part = |x: &Tensor| {
            let size = x.dims()[self.0];
            at += size;
            Some(reverse.ct().slice_axis(self.0 as isize, at - size, at))
        };
        reverse.ins.iter().map(part).collect()
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let operands = mapped.operands();
        Some(vec![concatenate(&operands.iter().collect::<Vec<_>>(), self.0 as isize + 1)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        local.main_split().filter(|split| split.axis != self.0).and_then(|split| local.alike(split))
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.of_any(&(0..of.ins.len()).collect::<Vec<_>>())]
    }
}

#[derive(Debug, PartialEq)]
struct ReverseOp(Vec<usize>);

impl Op for ReverseOp {
    fn name(&self) -> &'static str {
        "reverse"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        match self.0.iter().find(|&&a| a >= operands[0].rank()) {
            Some(axis) => Err(Violation::new("C3", format!("axis {axis} is not an axis of {}", operands[0]))),
            None => Ok(vec![operands[0].clone()]),
        }
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("dimensions", array_i64(&self.0))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        vec![Some(reverse.ct().reverse(&self.0))]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        Some(vec![mapped.ins[0].reverse(&self.0.iter().map(|a| a + 1).collect::<Vec<_>>())])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        local.split(0).filter(|split| !self.0.contains(&split.axis)).and_then(|split| local.alike(split))
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

/// The slice of the first operand that starts at the scalar operands, clamped to the bounds.
#[derive(Debug, PartialEq)]
struct DynamicSlice(Vec<usize>);

fn check_starts(x: &TensorType, starts: &[TensorType]) -> Result<(), Violation> {
    if starts.len() != x.rank() {
        return Err(Violation::new("C2", format!("{} start indices are given for {x}", starts.len())));
    }
    match starts.iter().find(|s| s.rank() != 0 || !s.dtype.is_integer() || s.dtype != starts[0].dtype) {
        Some(start) => Err(Violation::new("C3", format!("a start index of {x} is {start}, not an integer scalar"))),
        None => Ok(()),
    }
}

impl Op for DynamicSlice {
    fn name(&self) -> &'static str {
        "dynamic_slice"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let x = &operands[0];
        check_starts(x, &operands[1..])?;
        if self.0.len() != x.rank() || (0..x.rank()).any(|i| self.0[i] > x.dims[i]) {
            return Err(Violation::new("C4", format!("a slice of {:?} does not fit into {x}", self.0)));
        }
        Ok(vec![x.with_dims(self.0.clone())])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("slice_sizes", array_i64(&self.0))]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let zeros = reverse.ins[0].zeros_like();
        let mut cts = vec![None; reverse.ins.len()];
        cts[0] = Some(zeros.dynamic_update_slice(reverse.ct(), &reverse.ins[1..]));
        cts
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        if mapped.mapped[1..].contains(&true) {
            return mapped.through(|x| vec![x[0].gather(&vector(&x[1..]), &WindowDims::at(x[0].rank()), &self.0)]);
        }
        let sizes: Vec<usize> = std::iter::once(mapped.size).chain(self.0.iter().copied()).collect();
        Some(vec![mapped.ins[0].dynamic_slice(&with_zero(&mapped.ins[1..]), &sizes)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let (split, dims) = (local.split(0)?, local.dims(0));
        if self.0[split.axis] != dims[split.axis] {
            return None;
        }
        let starts: Vec<Tensor> = (1..local.ins.len()).map(|i| local.whole(i)).collect();
        Local::one(local.ins[0].tensor.dynamic_slice(&starts, &split.part(&self.0, local.devices())), split)
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.ins[0]]
    }
}

/// Concatenates scalars to a vector.
fn vector(starts: &[Tensor]) -> Tensor {
    let rows: Vec<Tensor> = starts.iter().map(|s| s.reshape(&[1])).collect();
    concatenate(&rows.iter().collect::<Vec<_>>(), 0)
}

/// A dynamic update as a scatter. A scatter drops updates out of bounds, so the start indices are clamped first.
fn write_at(x: &Tensor, part: &Tensor, starts: &[Tensor]) -> Tensor {
    let limit = |i: usize| (x.dims()[i] - part.dims()[i]) as f64;
    let inside: Vec<Tensor> = starts.iter().enumerate().map(|(i, s)| s.clamp(0.0, limit(i))).collect();
    x.scatter(&vector(&inside), part, &WindowDims::at(x.rank()))
}

/// Start indices with an additional leading axis.
fn with_zero(starts: &[Tensor]) -> Vec<Tensor> {
    let zero = starts.first().map(Tensor::zeros_like);
    zero.into_iter().chain(starts.iter().cloned()).collect()
}

#[derive(Debug, PartialEq)]
struct DynamicUpdateSlice;

impl Op for DynamicUpdateSlice {
    fn name(&self) -> &'static str {
        "dynamic_update_slice"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let (x, part) = (&operands[0], &operands[1]);
        check_starts(x, &operands[2..])?;
        let fits = part.rank() == x.rank() && part.dtype == x.dtype && (0..x.rank()).all(|i| part.dims[i] <= x.dims[i]);
        if !fits {
            return Err(Violation::new("C6", format!("the update {part} does not fit into {x}")));
        }
        Ok(vec![x.clone()])
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, part, starts) = (reverse.ct(), &reverse.ins[1], &reverse.ins[2..]);
        let mut cts = vec![None; reverse.ins.len()];
        cts[0] = reverse.needs[0].then(|| ct.dynamic_update_slice(&part.zeros_like(), starts));
        cts[1] = reverse.needs[1].then(|| ct.dynamic_slice(starts, part.dims()));
        cts
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        if mapped.mapped[2..].contains(&true) {
            return mapped.through(|x| vec![write_at(&x[0], &x[1], &x[2..])]);
        }
        Some(vec![mapped.operand(0).dynamic_update_slice(&mapped.operand(1), &with_zero(&mapped.ins[2..]))])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let split = local.split(0).or(local.split(1))?;
        if local.dims(0)[split.axis] != local.dims(1)[split.axis] {
            return None;
        }
        let starts: Vec<Tensor> = (2..local.ins.len()).map(|i| local.whole(i)).collect();
        Local::one(local.part(0, split).dynamic_update_slice(&local.part(1, split), &starts), split)
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        vec![of.of_any(&[0, 1])]
    }
}

/// Joins tensors along `axis` (negative: counted from the end). Spec: concatenate.
///
/// # Panics
/// When `parts` is empty, because then there is no trace to record an error in.
#[track_caller]
#[doc(alias = "cat")]
pub fn concatenate(parts: &[&Tensor], axis: isize) -> Tensor {
    let first = parts[0];
    match first.axis(axis) {
        _ if parts.iter().any(|p| p.is_poison()) => Tensor::poison(first.graph()),
        Ok(axis) => first.graph().apply(Concatenate(axis), parts),
        Err(violation) => first.fail("concatenate", violation),
    }
}

impl Tensor {
    /// Elements `start..limit` with step `stride`, per axis. Spec: slice.
    #[track_caller]
    #[doc(alias = "narrow")]
    pub fn slice(&self, start: &[usize], limit: &[usize], stride: &[usize]) -> Tensor {
        let op = Slice { start: start.to_vec(), limit: limit.to_vec(), stride: stride.to_vec() };
        self.graph().apply(op, &[self])
    }

    /// Elements `start..limit` along one axis (negative: counted from the end), and all elements of the others.
    #[track_caller]
    #[doc(alias = "narrow")]
    #[doc(alias = "slice_in_dim")]
    pub fn slice_axis(&self, axis: isize, start: usize, limit: usize) -> Tensor {
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(violation) => return self.fail("slice", violation),
        };
        let (mut starts, mut limits) = (vec![0; self.rank()], self.dims().to_vec());
        (starts[axis], limits[axis]) = (start, limit);
        self.slice(&starts, &limits, &vec![1; self.rank()])
    }

    /// Element `index` along one axis (negative: counted from the end), without that axis.
    #[track_caller]
    pub fn index_axis(&self, axis: isize, index: usize) -> Tensor {
        let part = self.slice_axis(axis, index, index + 1);
        let Ok(axis) = self.axis(axis) else { return part };
        let mut dims = self.dims().to_vec();
        dims.remove(axis);
        part.reshape(&dims)
    }

    /// Adds `value` around (low, high; negative crops) and between (interior) elements, per axis. Spec: pad.
    #[track_caller]
    pub fn pad(&self, value: impl Operand, low: &[i64], high: &[i64], interior: &[usize]) -> Tensor {
        let scalar = self.graph().scalar(self.dtype(), 0.0);
        let op = Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() };
        op.on(self, &value.beside(&scalar))
    }

    /// Reverses the order along `axes`. Spec: reverse.
    #[track_caller]
    pub fn reverse(&self, axes: &[usize]) -> Tensor {
        self.graph().apply(ReverseOp(axes.to_vec()), &[self])
    }

    /// The slice of size `sizes` that starts at the integer scalars `starts`, clamped to the bounds: a start below 0 counts as 0 (JAX
    /// counts it from the end). Spec: dynamic_slice.
    #[track_caller]
    #[doc(alias = "dynamic_slice_in_dim")]
    pub fn dynamic_slice(&self, starts: &[Tensor], sizes: &[usize]) -> Tensor {
        let operands: Vec<&Tensor> = std::iter::once(self).chain(starts).collect();
        self.graph().apply(DynamicSlice(sizes.to_vec()), &operands)
    }

    /// This tensor with `part` written at the integer scalars `starts`, clamped to the bounds: a start below 0 counts as 0 (JAX counts it
    /// from the end). Spec: dynamic_update_slice.
    #[track_caller]
    pub fn dynamic_update_slice(&self, part: &Tensor, starts: &[Tensor]) -> Tensor {
        let operands: Vec<&Tensor> = [self, part].into_iter().chain(starts).collect();
        self.graph().apply(DynamicUpdateSlice, &operands)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let starts = |x: &Tensor| [x.graph().scalar(DType::S32, 1.0), x.graph().scalar(DType::S32, 2.0)];
    vec![
        Sample::new("slice", |x| vec![x[0].slice(&[1, 0], &[4, 5], &[2, 3]).exp()]).input(f, [5, 6], -1.0, 1.0),
        Sample::new("pad", |x| vec![x[0].pad(&x[1], &[1, -1], &[2, 0], &[2, 1]).exp()])
            .input(f, [3, 4], -1.0, 1.0)
            .input(f, [], -1.0, 1.0),
        Sample::new("concatenate", |x| vec![concatenate(&[&x[0], &x[1]], 1).exp()]).input(f, [2, 3], -1.0, 1.0).input(
            f,
            [2, 1],
            -1.0,
            1.0,
        ),
        Sample::new("reverse", |x| vec![x[0].reverse(&[1]) * &x[0]]).input(f, [2, 3], -1.0, 1.0),
        Sample::new("dynamic_slice", move |x| vec![x[0].dynamic_slice(&starts(&x[0]), &[2, 2]).exp()]).input(
            f,
            [4, 5],
            -1.0,
            1.0,
        ),
        Sample::new("dynamic_update_slice", move |x| vec![x[0].dynamic_update_slice(&x[1], &starts(&x[0])).exp()])
            .input(f, [4, 5], -1.0, 1.0)
            .input(f, [2, 2], -1.0, 1.0),
        // Starts range from out of bounds to out of bounds: both operations clamp the window.
        Sample::new("dynamic_slice at computed places", |x| vec![x[0].dynamic_slice(&x[1..], &[2, 2]).exp()])
            .input(f, [4, 5], -1.0, 1.0)
            .input(DType::S32, [], -1.0, 4.0)
            .input(DType::S32, [], -1.0, 6.0),
        Sample::new("dynamic_update_slice at computed places", |x| {
            vec![x[0].dynamic_update_slice(&x[1], &x[2..]).exp()]
        })
        .input(f, [4, 5], -1.0, 1.0)
        .input(f, [2, 2], -1.0, 1.0)
        .input(DType::S32, [], -1.0, 4.0)
        .input(DType::S32, [], -1.0, 6.0),
    ]
}
