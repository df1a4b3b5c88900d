//! The gradient of maxima over windows.

use crate::graph::tensor::Tensor;
use crate::ops::reduce_window::Window;
use crate::ops::reducer::Reducer;
use crate::types::array::Array;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

impl Window {
    /// The cotangent of the tensor whose window maximum is `y`: all of it goes to the first element of a window that equals the maximum, as
    /// in XLA's `select_and_scatter`. One pass per element of the window, and all of them fuse.
    pub(super) fn max_cotangent(&self, ct: &Tensor, x: &Tensor, y: &Tensor) -> Tensor {
        if y.dims().contains(&0) {
            return x.zeros_like();
        }
        if self.is_tiling() {
            return self.tiled_max_cotangent(ct, x, y);
        }
        let (low, high): (Vec<i64>, Vec<i64>) = self.padding.iter().copied().unzip();
        let between: Vec<usize> = self.base_dilations.iter().map(|d| d - 1).collect();
        let padded = x.pad(Reducer::Max.neutral(x.dtype()), &low, &high, &between);
        let (mut taken, mut sum) = (y.ne(y), padded.zeros_like());
        for start in self.elements() {
            let last = |axis: usize| start[axis] + (y.dims()[axis] - 1) * self.strides[axis];
            let limit: Vec<usize> = (0..x.rank()).map(|axis| last(axis) + 1).collect();
            let hit = padded.slice(&start, &limit, &self.strides).eq(y).and(taken.not());
            let part = hit.select(ct, &ct.zeros_like());
            let before: Vec<i64> = start.iter().map(|&s| s as i64).collect();
            let after: Vec<i64> =
                limit.iter().zip(padded.dims()).map(|(&limit, &size)| size as i64 - limit as i64).collect();
            let apart: Vec<usize> = self.strides.iter().map(|s| s - 1).collect();
            sum = sum + part.pad(0.0, &before, &after, &apart);
            taken = taken.or(&hit);
        }
        let cut = |list: &[i64]| list.iter().map(|n| -n).collect::<Vec<_>>();
        let cut = sum.pad(0.0, &cut(&low), &cut(&high), &vec![0; x.rank()]);
        cut.slice(&vec![0; x.rank()], cut.dims(), &self.base_dilations)
    }

    /// The maximum of each window as that of slices, one for each element of a window: XLA vectorizes it on CPUs, in bytes as well. `None` for
    /// padded windows, gaps between elements, and windows with many elements.
    pub fn maximum_of_slices(&self, x: &Tensor) -> Option<Tensor> {
        const MOST: usize = 9;
        let plain = self.base_dilations.iter().all(|d| *d == 1) && self.padding.iter().all(|p| *p == (0, 0));
        let places: Vec<usize> = x.dims().iter().enumerate().map(|(axis, size)| self.places(axis, *size)).collect();
        if !plain || places.contains(&0) || self.sizes.iter().product::<usize>() > MOST {
            return None;
        }
        let slice = |start: Vec<usize>| {
            let last = |axis: usize| start[axis] + (places[axis] - 1) * self.strides[axis];
            let limit: Vec<usize> = (0..places.len()).map(|axis| last(axis) + 1).collect();
            x.slice(&start, &limit, &self.strides)
        };
        self.elements().into_iter().map(slice).reduce(|most, slice| most.maximum(&slice))
    }

    /// Whether windows lie side by side, as in most pooling: no element is in two of them, and none lies between two.
    fn is_tiling(&self) -> bool {
        let dilations = self.base_dilations.iter().chain(&self.window_dilations);
        self.strides == self.sizes
            && dilations.into_iter().all(|d| *d == 1)
            && self.padding.iter().all(|p| *p == (0, 0))
    }

    /// [`max_cotangent`](Window::max_cotangent) for windows side by side: each window notes which of its elements is the first maximum, and each element
    /// reads that.
    fn tiled_max_cotangent(&self, ct: &Tensor, x: &Tensor, y: &Tensor) -> Tensor {
        let covered: Vec<usize> = y.dims().iter().zip(&self.sizes).map(|(places, size)| places * size).collect();
        let first = self.first_maximum(x, y, &covered);
        // Each axis with a window becomes two: its windows, and the elements of one.
        let (mut apart, mut windows, mut elements) = (Vec::new(), Vec::new(), Vec::new());
        for (places, size) in y.dims().iter().zip(&self.sizes) {
            windows.push(apart.len());
            apart.push(*places);
            if *size > 1 {
                elements.push(apart.len());
                apart.push(*size);
            }
        }
        let sizes: Vec<usize> = elements.iter().map(|axis| apart[*axis]).collect();
        let numbers: Vec<f64> = (0..sizes.iter().product()).map(|number: usize| number as f64).collect();
        let numbers = Array::from_f64(TensorType::new(DType::S32, sizes), &numbers).expect("a number for each element");
        let numbers = x.graph().constant(&numbers).broadcast_in_dim(&apart, &elements);
        let hit = first.broadcast_in_dim(&apart, &windows).eq(&numbers);
        let all = hit.select(&ct.broadcast_in_dim(&apart, &windows), &ct.graph().scalar(ct.dtype(), 0.0));
        let rest: Vec<i64> = x.dims().iter().zip(&covered).map(|(all, covered)| (all - covered) as i64).collect();
        let none = vec![0; x.rank()];
        let all = all.reshape(&covered);
        if rest == none { all } else { all.pad(0.0, &none, &rest, &vec![0; x.rank()]) }
    }

    /// For each window, the number of its first element that equals the maximum, in row-major order; another number if there is none (NaN).
    fn first_maximum(&self, x: &Tensor, y: &Tensor, covered: &[usize]) -> Tensor {
        // Spikes are compared as bytes, a quarter of the memory.
        let bytes = |t: &Tensor| if x.is_boolean() { t.convert(DType::S8) } else { t.clone() };
        let (x, y) = (bytes(x), bytes(y));
        let elements = self.elements();
        let none = x.graph().full(TensorType::new(DType::S32, y.dims()), elements.len() as f64);
        elements.iter().enumerate().rev().fold(none, |first, (number, start)| {
            let of_windows = x.slice(start, covered, &self.strides);
            of_windows.eq(&y).select(&first.full_like(number as f64), &first)
        })
    }
}
