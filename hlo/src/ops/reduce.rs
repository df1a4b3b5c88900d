//! Reductions over axes: sum, product, maximum, minimum, and, or.

use crate::graph::axes::{ReductionAxes, keepdims};
use crate::graph::batch::Mapped;
use crate::graph::error::{GraphErrors, Violation};
use crate::graph::function::Function;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::ops::elementwise::outward;
use crate::ops::promotion;
use crate::ops::reducer::Reducer;
use crate::ops::sample::Sample;
use crate::ops::slice::concatenate;
use crate::print::literal::array_i64;
use crate::transform::autodiff::vjp;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// `reduce` of one tensor; the second operand is the initial value.
#[derive(Debug, PartialEq)]
struct Reduce {
    reducer: Reducer,
    axes: Vec<usize>,
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let x = &operands[0];
        if operands[1] != TensorType::scalar(x.dtype) {
            return Err(Violation::new("C1", format!("the initial value {} does not fit {x}", operands[1])));
        }
        if let Some(axis) = self.axes.iter().find(|&&a| a >= x.rank()) {
            return Err(Violation::new("C4", format!("axis {axis} is not an axis of {x}")));
        }
        if (1..self.axes.len()).any(|i| self.axes[..i].contains(&self.axes[i])) {
            return Err(Violation::new("C5", format!("{:?} names an axis of {x} twice", self.axes)));
        }
        self.reducer.check(x)?;
        let kept = (0..x.rank()).filter(|a| !self.axes.contains(a)).map(|a| x.dims[a]);
        Ok(vec![x.with_dims(kept.collect::<Vec<_>>())])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        vec![("dimensions", array_i64(&self.axes))]
    }
    fn regions(&self, operands: &[TensorType]) -> Vec<Function> {
        vec![self.reducer.region(operands[0].dtype)]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, x, y) = (reverse.ct(), &reverse.ins[0], &reverse.outs[0]);
        let spread = |t: &Tensor| self.spread(t, x.dims());
        let dx = match self.reducer {
            Reducer::Sum => spread(ct),
            // Elements that tie for the extreme value share its cotangent, as in JAX.
            Reducer::Max | Reducer::Min => {
                let hit = x.eq(spread(y)).convert(x.dtype());
                let count = hit.reduce_sum(&self.axes);
                hit * spread(&(ct / count))
            }
            Reducer::AbsMax => {
                let hit = x.abs().eq(spread(y)).convert(x.dtype());
                let count = hit.reduce_sum(&self.axes);
                outward(&(hit * spread(&(ct / count))), x)
            }
            Reducer::Product => return vec![Some(self.product_cotangent(ct, x)), None],
            Reducer::And | Reducer::Or => return vec![None, None],
        };
        vec![Some(dx), None]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        if mapped.mapped[1] {
            return mapped.through(|x| {
                let y = x[0].reduce(self.reducer, &self.axes);
                vec![self.reducer.combine(&y, &x[1].broadcast_to(y.dims()))]
            });
        }
        let axes = self.axes.iter().map(|a| a + 1).collect();
        let op = Reduce { reducer: self.reducer, axes };
        Some(vec![mapped.ins[0].graph().apply(op, &[&mapped.operand(0), &mapped.ins[1]])])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let (split, x) = (local.split(0)?, &local.ins[0].tensor);
        // Every reduction starts from the neutral element, which may count once on each device.
        let reduced = x.reduce(self.reducer, &self.axes);
        if self.axes.contains(&split.axis) {
            return Some(vec![Laid::whole(reduced.over_devices(self.reducer, local.devices()))]);
        }
        let before = self.axes.iter().filter(|&&axis| axis < split.axis).count();
        Local::one(reduced, split.at(split.axis - before))
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        let count: i64 = self.axes.iter().map(|&a| of.types[0].dims[a] as i64).product();
        vec![of.ins[0].and_then(|x| match self.reducer {
            Reducer::Sum => x.times(count),
            // An empty reduction returns the neutral element.
            Reducer::Max | Reducer::Min => Some(x).filter(|_| count > 0),
            Reducer::AbsMax => x.magnitudes(),
            Reducer::Product | Reducer::And | Reducer::Or => None,
        })]
    }
}

impl Reduce {
    /// Each element's factor is the product of all others. Differentiating a tree of products finds it without a division, which would fail
    /// for zeros.
    fn product_cotangent(&self, ct: &Tensor, x: &Tensor) -> Tensor {
        let leaves = x.identity();
        let root = self.product_tree(&leaves);
        vjp(&[root], &[Some(ct.clone())], &[leaves]).swap_remove(0)
    }

    /// The product as a tree: the two halves are multiplied with each other until one element is left.
    fn product_tree(&self, x: &Tensor) -> Tensor {
        let kept: Vec<usize> = (0..x.rank()).filter(|a| !self.axes.contains(a)).collect();
        let kept_dims: Vec<usize> = kept.iter().map(|&a| x.dims()[a]).collect();
        let mut count: usize = self.axes.iter().map(|&a| x.dims()[a]).product();
        if count == 0 {
            return x.graph().full(x.ty().with_dims(kept_dims), 1.0);
        }
        let front = x.transpose(&[&self.axes[..], &kept].concat());
        let mut left = front.reshape(&[&[count], &kept_dims[..]].concat());
        while count > 1 {
            let half = count / 2;
            let products = left.slice_axis(0, 0, half) * left.slice_axis(0, half, 2 * half);
            left = match count % 2 {
                0 => products,
                _ => concatenate(&[&products, &left.slice_axis(0, 2 * half, count)], 0),
            };
            count -= half;
        }
        left.reshape(&kept_dims)
    }

    /// A reduced tensor broadcast along the axes it was reduced over.
    fn spread(&self, reduced: &Tensor, dims: &[usize]) -> Tensor {
        let kept: Vec<usize> = (0..dims.len()).filter(|a| !self.axes.contains(a)).collect();
        reduced.broadcast_in_dim(dims, &kept)
    }
}

impl Function {
    /// The same function with each [`reduce_absmax`](Tensor::reduce_absmax) as the maximum of the magnitudes. It is one reduction otherwise,
    /// whose initial value is not an identity of its body: XLA's CPU compiler starts from the initial value as written, but the one for
    /// NVIDIA cards starts from the first element and includes a negative one without its magnitude.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn with_maxima_of_magnitudes(&self) -> Result<Function, GraphErrors> {
        self.transform(&mut |node, operands| {
            let axes = match node.op.downcast::<Reduce>()? {
                Reduce { reducer: Reducer::AbsMax, axes } => axes.clone(),
                _ => return None,
            };
            let op = Reduce { reducer: Reducer::Max, axes };
            Some(vec![operands[0].graph().apply(op, &[&operands[0].abs(), &operands[1]])])
        })
    }
}

impl Tensor {
    #[track_caller]
    fn reduce(&self, reducer: Reducer, axes: &[usize]) -> Tensor {
        if reducer == Reducer::AbsMax && self.count_over(&axes) == 1 {
            // Compilers drop a reduction of one element together with its body.
            return self.abs().reduce(Reducer::Max, axes);
        }
        if axes.is_empty() && !self.is_poison() {
            return self.clone();
        }
        let init = self.graph().scalar(self.dtype(), reducer.neutral(self.dtype()));
        self.graph().apply(Reduce { reducer, axes: axes.to_vec() }, &[self, &init])
    }

    /// A reduction over axes as a caller names them.
    #[track_caller]
    fn over(&self, reducer: Reducer, axes: &impl ReductionAxes) -> Tensor {
        match self.reduced(axes) {
            Ok(list) => self.reduce(reducer, &list).keeping(self, &list, axes.keeps_dims()),
            Err(violation) => self.fail("reduce", violation),
        }
    }

    /// This reduction of `operand` over `axes`, with those axes of size 1 if they are kept.
    #[track_caller]
    fn keeping(&self, operand: &Tensor, axes: &[usize], kept: bool) -> Tensor {
        if !kept || self.is_poison() {
            return self.clone();
        }
        let size = |(axis, size): (usize, &usize)| if axes.contains(&axis) { 1 } else { *size };
        self.reshape(&operand.dims().iter().enumerate().map(size).collect::<Vec<_>>())
    }

    /// Number of elements along `axes` together.
    pub(crate) fn count_over(&self, axes: &impl ReductionAxes) -> usize {
        let axes = self.reduced(axes).unwrap_or_default();
        axes.iter().filter_map(|&axis| self.dims().get(axis)).product()
    }

    /// All axes.
    fn all_axes(&self) -> Vec<usize> {
        (0..self.rank()).collect()
    }

    /// Sum over `axes`; integers below 32 bits and booleans are summed in 32 bits. Spec: reduce. JAX: `jnp.sum`.
    #[track_caller]
    pub fn reduce_sum(&self, axes: impl ReductionAxes) -> Tensor {
        self.convert(promotion::summed(self.dtype())).over(Reducer::Sum, &axes)
    }

    /// Product over `axes`, in the same type as a sum. Spec: reduce.
    #[track_caller]
    #[doc(alias = "prod")]
    pub fn reduce_product(&self, axes: impl ReductionAxes) -> Tensor {
        self.convert(promotion::summed(self.dtype())).over(Reducer::Product, &axes)
    }

    /// Largest element over `axes`. Spec: reduce.
    #[track_caller]
    #[doc(alias = "amax")]
    pub fn reduce_max(&self, axes: impl ReductionAxes) -> Tensor {
        self.over(Reducer::Max, &axes)
    }

    /// Largest magnitude over `axes`, in one reduction: the specification's `reduce` with a custom body.
    #[track_caller]
    pub fn reduce_absmax(&self, axes: impl ReductionAxes) -> Tensor {
        self.over(Reducer::AbsMax, &axes)
    }

    /// Smallest element over `axes`. Spec: reduce.
    #[track_caller]
    #[doc(alias = "amin")]
    pub fn reduce_min(&self, axes: impl ReductionAxes) -> Tensor {
        self.over(Reducer::Min, &axes)
    }

    /// Whether all elements over `axes` are true (bitwise `and` for integers). Spec: reduce.
    #[track_caller]
    #[doc(alias = "all")]
    pub fn reduce_and(&self, axes: impl ReductionAxes) -> Tensor {
        self.over(Reducer::And, &axes)
    }

    /// Whether any element over `axes` is true (bitwise `or` for integers). Spec: reduce.
    #[track_caller]
    #[doc(alias = "any")]
    pub fn reduce_or(&self, axes: impl ReductionAxes) -> Tensor {
        self.over(Reducer::Or, &axes)
    }

    /// Sum of all elements.
    #[track_caller]
    pub fn sum(&self) -> Tensor {
        self.reduce_sum(self.all_axes())
    }

    /// Mean over `axes`; f32 for integers and booleans. JAX: `jnp.mean`.
    #[track_caller]
    pub fn reduce_mean(&self, axes: impl ReductionAxes) -> Tensor {
        let count = self.count_over(&axes);
        self.convert(promotion::averaged(self.dtype())).reduce_sum(axes) / count as f64
    }

    /// Mean of all elements.
    #[track_caller]
    pub fn mean(&self) -> Tensor {
        self.reduce_mean(self.all_axes())
    }

    /// Index of the largest element along `axis` as `s32`: the first of equal elements, and the first NaN if there is one. JAX:
    /// `jnp.argmax`.
    ///
    /// # Errors
    /// Recorded in the trace: no such axis, or an axis without elements.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Tensor {
        self.index_of("argmax", Reducer::Max, axis)
    }

    /// Index of the smallest element along `axis` as `s32`; the first of equals, and the first NaN where there is one. JAX:
    /// `jnp.argmin`.
    ///
    /// # Errors
    /// Kept in the trace: no such axis, or none of its elements.
    #[track_caller]
    pub fn argmin(&self, axis: isize) -> Tensor {
        self.index_of("argmin", Reducer::Min, axis)
    }

    /// Index of the first element along `axis` that equals the reduced one, or is NaN.
    #[track_caller]
    fn index_of(&self, name: &str, reducer: Reducer, axis: isize) -> Tensor {
        let axis = match self.axis(axis) {
            Ok(axis) => axis,
            Err(violation) => return self.fail(name, violation),
        };
        if self.dims()[axis] == 0 {
            let message = format!("axis {axis} of {} has no elements", self.ty());
            return self.fail(name, Violation::new("", message));
        }
        let size = self.dims()[axis] as f64;
        let index = self.graph().iota(self.ty().with_dtype(DType::S32), axis);
        let mut found = self.eq(self.over(reducer, &keepdims(axis)));
        if self.dtype().is_float() {
            // Nothing equals NaN.
            found = found.or(self.ne(self));
        }
        found.select(&index, &index.full_like(size)).reduce_min(axis)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    vec![
        Sample::new("reduce sum", |x| vec![x[0].reduce_sum([0, 2]).exp()]).input(f, [2, 3, 4], -0.5, 0.5),
        Sample::new("reduce product", |x| vec![x[0].reduce_product([1])]).input(f, [2, 3], 0.5, 2.0),
        Sample::new("reduce max", |x| vec![x[0].reduce_max([1])]).input(f, [2, 5], -1.0, 1.0),
        Sample::new("reduce absmax", |x| vec![x[0].reduce_absmax([1])]).input(f, [2, 5], -1.0, 1.0),
        Sample::new("reduce min", |x| vec![x[0].reduce_min([0])]).input(f, [4, 2], -1.0, 1.0),
        Sample::new("reduce and, or", |x| {
            let positive = x[0].gt(0.0);
            vec![positive.reduce_and([1]), positive.reduce_or([1])]
        })
        .input(f, [4, 2], -1.0, 1.0)
        .forward_only(),
        Sample::new("argmax, argmin", |x| vec![x[0].argmax(1), x[0].argmin(-1)])
            .input(f, [2, 5], -1.0, 1.0)
            .forward_only(),
    ]
}
