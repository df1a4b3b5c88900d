//! Selection by index: take_along_axis, top_k.

use crate::graph::error::Violation;
use crate::graph::tensor::Tensor;
use crate::ops::gather::WindowDims;
use crate::ops::sample::Sample;
use crate::ops::sort::sort;
use crate::types::dtype::{DType, Kind};

impl Tensor {
    /// Slices at the integer `indices` along `axis` (negative: counted from the end), whose axes replace `axis` in the result. A negative
    /// index counts from the end; one out of bounds gives NaN, or the smallest number of an integer type. JAX: `jnp.take`.
    ///
    /// ```
    /// use spiq_hlo::{DType, TensorType, trace};
    /// let inputs = [("table", TensorType::new(DType::F32, [100, 8])), ("words", TensorType::new(DType::S32, [4, 5]))];
    /// let f = trace(&inputs, |x| vec![x[0].take(&x[1], 0)])?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[4,5,8]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    #[doc(alias = "index_select")]
    pub fn take(&self, indices: &Tensor, axis: isize) -> Tensor {
        let along = match self.axis(axis) {
            Ok(along) => along,
            Err(violation) => return self.fail("take", violation),
        };
        let inside = indices.counted_from_end(self.dims()[along]);
        let taken = self.take_clipped(&inside, axis);
        if taken.is_poison() {
            return taken;
        }
        let axes: Vec<usize> = (along..along + indices.rank()).collect();
        taken.where_valid(&inside, self.dims()[along], &axes)
    }

    /// For each index the element at it along `axis`, at the index's own place along all other axes: `indices` has this tensor's
    /// shape but along `axis`. A negative index counts from the end; one out of bounds gives NaN, or the smallest number of
    /// an integer type. JAX: `jnp.take_along_axis`.
    ///
    /// # Errors
    /// Recorded in the trace: indices that are not integers or of another shape, no such axis.
    #[track_caller]
    #[doc(alias = "take_along_dim")]
    pub fn take_along_axis(&self, indices: &Tensor, axis: isize) -> Tensor {
        let along = match self.axis(axis) {
            Ok(along) => along,
            Err(violation) => return self.fail("take_along_axis", violation),
        };
        let fits = indices.rank() == self.rank()
            && (0..self.rank()).all(|axis| axis == along || indices.dims()[axis] == self.dims()[axis]);
        if indices.is_poison() {
            return indices.clone();
        }
        if !fits || !indices.dtype().is_integer() {
            let message = format!("indices {} do not fit {} along axis {axis}", indices.ty(), self.ty());
            return self.fail("take_along_axis", Violation::new("", message));
        }
        let size = self.dims()[along];
        let inside = indices.counted_from_end(size);
        let batch: Vec<usize> = (0..self.rank()).filter(|axis| *axis != along).collect();
        let dims = WindowDims {
            window: Vec::new(),
            collapsed: vec![along],
            operand_batch: batch.clone(),
            indices_batch: batch,
            start: vec![along],
            index_axis: self.rank(),
        };
        let taken = self.gather(&inside.expand_dims(-1), &dims, &vec![1; self.rank()]);
        taken.where_valid(&inside, size, &(0..self.rank()).collect::<Vec<_>>())
    }

    /// The `k` largest elements along the last axis, largest first, and their indices (`s32`). Equal elements keep their order. JAX:
    /// `lax.top_k`.
    ///
    /// # Errors
    /// Recorded in the trace: fewer than `k` elements.
    #[track_caller]
    #[doc(alias = "topk")]
    pub fn top_k(&self, k: usize) -> (Tensor, Tensor) {
        let size = self.dims().last().copied().unwrap_or(0);
        if k > size {
            let message = format!("the last axis of {} has fewer than {k} elements", self.ty());
            let poison = self.fail("top_k", Violation::new("", message));
            return (poison.clone(), poison);
        }
        let index = self.graph().iota(self.ty().with_dtype(DType::S32), self.rank() - 1);
        // Ascending and stable: of the mirrored sequence the last k are, backwards, the first of the largest.
        let mirrored = [self, &index].map(|t| t.flip(-1));
        let sorted = sort(&[&mirrored[0], &mirrored[1]], -1, 1);
        let largest = |t: &Tensor| t.slice_axis(-1, size - k, size).flip(-1);
        (largest(&sorted[0]), largest(&sorted[1]))
    }

    /// Elements taken at `indices`, along an axis of `size`, where those are in bounds. The axes of the indices are `axes` here.
    #[track_caller]
    fn where_valid(&self, indices: &Tensor, size: usize, axes: &[usize]) -> Tensor {
        if indices.range().is_some_and(|range| range.low >= 0 && range.high < size as i64) {
            return self.clone();
        }
        let valid = indices.ge(0).and(indices.lt(size));
        valid.broadcast_in_dim(self.dims(), axes).select(self, &self.out_of_bounds())
    }

    /// Indices along an axis of this size, with those below 0 counted from the end.
    #[track_caller]
    fn counted_from_end(&self, size: usize) -> Tensor {
        let signed = self.dtype().kind() == Kind::Signed;
        if !signed || self.range().is_some_and(|range| range.low >= 0) {
            return self.clone();
        }
        // As a tensor: the sum with a number is refused where the type may overflow, which it does not below 0.
        let counted = self + self.graph().scalar(self.dtype(), size as f64);
        self.lt(0.0).select(&counted, self)
    }

    /// The value of an element that is out of bounds, as in JAX.
    #[track_caller]
    fn out_of_bounds(&self) -> Tensor {
        match self.dtype().integer_range() {
            _ if self.dtype().is_float() => self.full_like(f64::NAN),
            Some((low, _)) if self.dtype().kind() == Kind::Signed => self.full_like(low as f64),
            // Of unsigned types the largest number, of booleans true.
            Some((_, high)) => self.full_like(high as f64),
            None => self.full_like(1.0),
        }
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    vec![
        Sample::new("take", |x| vec![x[0].take(&x[1], 1).exp()]).input(f, [2, 5, 3], -1.0, 1.0).input(
            DType::S32,
            [2, 2],
            -5.0,
            4.0,
        ),
        Sample::new("take_along_axis", |x| vec![x[0].take_along_axis(&x[1], 1).exp()])
            .input(f, [3, 5], -1.0, 1.0)
            .input(DType::S32, [3, 2], -5.0, 4.0),
        Sample::new("top_k", |x| {
            let (values, indices) = x[0].top_k(2);
            vec![values.exp(), indices]
        })
        .input(f, [3, 5], -1.0, 1.0),
    ]
}
