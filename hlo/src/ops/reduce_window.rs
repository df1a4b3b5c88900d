//! Reductions over windows that move along a tensor: sum and maximum, as used by pooling.

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::function::Function;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::ops::promotion;
use crate::ops::reducer::Reducer;
use crate::ops::sample::Sample;
use crate::ops::window::{pairs, spread};
use crate::print::literal::array_i64;
use crate::types::tensor_type::TensorType;

/// A window over all axes of a tensor, and its movement. Each list has one entry per axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Elements of the window along each axis; 1 leaves an axis unchanged.
    pub sizes: Vec<usize>,
    /// Strides of the window along each axis.
    pub strides: Vec<usize>,
    /// Spacing of the tensor's elements, with neutral elements in between.
    pub base_dilations: Vec<usize>,
    /// Spacing of the window's elements.
    pub window_dilations: Vec<usize>,
    /// Neutral elements added before and after the tensor along each axis; negative numbers crop.
    pub padding: Vec<(i64, i64)>,
}

impl Window {
    /// A window with stride 1, without dilation or padding.
    pub fn new(sizes: impl Into<Vec<usize>>) -> Window {
        let sizes = sizes.into();
        let ones = vec![1; sizes.len()];
        Window {
            strides: ones.clone(),
            base_dilations: ones.clone(),
            padding: vec![(0, 0); ones.len()],
            window_dilations: ones,
            sizes,
        }
    }

    fn check(&self, x: &TensorType) -> Result<(), Violation> {
        let lists = [
            (["C4", "C5"], "sizes of the window", &self.sizes),
            (["C6", "C7"], "strides", &self.strides),
            (["C8", "C9"], "dilations", &self.base_dilations),
            (["C10", "C11"], "dilations of the window", &self.window_dilations),
        ];
        for ([count, positive], what, list) in lists {
            if list.len() != x.rank() {
                return Err(Violation::new(count, format!("{list:?} are the {what} for the axes of {x}")));
            }
            if list.contains(&0) {
                return Err(Violation::new(positive, format!("{list:?} are the {what} for the axes of {x}")));
            }
        }
        match self.padding.len() == x.rank() {
            true => Ok(()),
            false => Err(Violation::new("C12", format!("{:?} is the padding for the axes of {x}", self.padding))),
        }
    }

    /// The extent of the window along an axis, including the gaps of its dilation.
    fn covers(&self, axis: usize) -> i64 {
        spread(self.sizes[axis], self.window_dilations[axis])
    }

    /// The dilated and padded size of an axis of `size`.
    fn padded(&self, axis: usize, size: usize) -> i64 {
        spread(size, self.base_dilations[axis]) + self.padding[axis].0 + self.padding[axis].1
    }

    /// Number of window positions along an axis of `size`.
    pub(super) fn places(&self, axis: usize, size: usize) -> usize {
        let free = self.padded(axis, size) - self.covers(axis);
        if free < 0 { 0 } else { free as usize / self.strides[axis] + 1 }
    }

    /// Whether it leaves an axis unchanged.
    fn leaves(&self, axis: usize) -> bool {
        let ones = [&self.sizes, &self.strides, &self.base_dilations, &self.window_dilations];
        ones.iter().all(|list| list[axis] == 1) && self.padding[axis] == (0, 0)
    }

    /// The window with an additional leading axis, which it leaves unchanged.
    fn over_one_more_axis(&self) -> Window {
        let front = |list: &[usize]| [&[1], list].concat();
        Window {
            sizes: front(&self.sizes),
            strides: front(&self.strides),
            base_dilations: front(&self.base_dilations),
            window_dilations: front(&self.window_dilations),
            padding: [&[(0, 0)], &self.padding[..]].concat(),
        }
    }

    /// The cotangent of the summed tensor: each element receives the sum over the windows that contain it, which is again a window sum,
    /// with strides and dilations exchanged.
    fn sum_cotangent(&self, ct: &Tensor, x: &Tensor) -> Tensor {
        let padding = |axis: usize| {
            let before = self.covers(axis) - 1 - self.padding[axis].0;
            let places = spread(ct.dims()[axis], self.strides[axis]);
            let size = spread(x.dims()[axis], self.base_dilations[axis]);
            (before, size - places - before + self.covers(axis) - 1)
        };
        let back = Window {
            sizes: self.sizes.clone(),
            strides: self.base_dilations.clone(),
            base_dilations: self.strides.clone(),
            window_dilations: self.window_dilations.clone(),
            padding: (0..x.rank()).map(padding).collect(),
        };
        ct.reduce_window_sum(&back)
    }

    /// The offset of each element of the window, in row-major order.
    pub(super) fn elements(&self) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new()];
        for (&size, &dilation) in self.sizes.iter().zip(&self.window_dilations) {
            let longer =
                |start: &Vec<usize>| (0..size).map(|i| [&start[..], &[i * dilation]].concat()).collect::<Vec<_>>();
            all = all.iter().flat_map(longer).collect();
        }
        all
    }
}

/// `reduce_window` of one tensor; the second operand is the neutral element.
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceWindow {
    reducer: Reducer,
    window: Window,
}

impl ReduceWindow {
    /// The window, if its maximum is computed.
    pub fn maximum(&self) -> Option<&Window> {
        (self.reducer == Reducer::Max).then_some(&self.window)
    }
}

impl Op for ReduceWindow {
    fn name(&self) -> &'static str {
        "reduce_window"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let x = &operands[0];
        self.window.check(x)?;
        let places = x.dims.iter().enumerate().map(|(axis, &size)| self.window.places(axis, size));
        Ok(vec![x.with_dims(places.collect::<Vec<_>>())])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let Window { sizes, strides, base_dilations, window_dilations, padding } = &self.window;
        vec![
            ("base_dilations", array_i64(base_dilations)),
            ("padding", pairs(padding)),
            ("window_dilations", array_i64(window_dilations)),
            ("window_dimensions", array_i64(sizes)),
            ("window_strides", array_i64(strides)),
        ]
    }
    fn regions(&self, operands: &[TensorType]) -> Vec<Function> {
        vec![self.reducer.region(operands[0].dtype)]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, x) = (reverse.ct(), &reverse.ins[0]);
        let dx = match self.reducer {
            Reducer::Max => self.window.max_cotangent(ct, x, &reverse.outs[0]),
            _ => self.window.sum_cotangent(ct, x),
        };
        vec![Some(dx), None]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let op = ReduceWindow { window: self.window.over_one_more_axis(), ..self.clone() };
        Some(vec![mapped.ins[0].graph().apply(op, &[&mapped.operand(0), &mapped.ins[1]])])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        let split = local.split(0).filter(|split| self.window.leaves(split.axis))?;
        let reduced = local.on(&[local.ins[0].tensor.clone(), local.whole(1)]).swap_remove(0);
        Local::one(reduced, split)
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        let padded = self.window.padding.iter().any(|&(low, high)| low > 0 || high > 0);
        let sparse = self.window.base_dilations.iter().any(|&d| d > 1);
        let count = self.window.sizes.iter().product::<usize>() as i64;
        vec![of.ins[0].and_then(|x| match self.reducer {
            // Padding adds zeros, so windows at the edge sum fewer elements.
            Reducer::Sum => x.or(Range { low: 0, high: 0 }).times(count),
            Reducer::Max => Some(x).filter(|_| !padded && !sparse),
            _ => None,
        })]
    }
}

impl Tensor {
    #[track_caller]
    fn reduce_window(&self, reducer: Reducer, window: &Window) -> Tensor {
        let neutral = self.graph().scalar(self.dtype(), reducer.neutral(self.dtype()));
        self.graph().apply(ReduceWindow { reducer, window: window.clone() }, &[self, &neutral])
    }

    /// The sum of each window; integers below 32 bits and booleans are summed in 32 bits. Spec: reduce_window.
    ///
    /// ```
    /// use spiq_hlo::{trace, DType, TensorType, Window};
    /// let halves = Window { strides: vec![1, 2, 2, 1], ..Window::new([1, 2, 2, 1]) };
    /// let images = TensorType::new(DType::F32, [8, 28, 28, 3]);
    /// let f = trace(&[("x", images)], |x| vec![x[0].reduce_window_sum(&halves)])?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[8,14,14,3]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    #[doc(alias = "avg_pool")]
    #[doc(alias = "sum_pool")]
    pub fn reduce_window_sum(&self, window: &Window) -> Tensor {
        self.convert(promotion::summed(self.dtype())).reduce_window(Reducer::Sum, window)
    }

    /// The largest element of each window. Spec: reduce_window. The first of equal elements receives the cotangent.
    #[track_caller]
    #[doc(alias = "max_pool")]
    pub fn reduce_window_max(&self, window: &Window) -> Tensor {
        self.reduce_window(Reducer::Max, window)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = crate::types::dtype::DType::F64;
    let halves = Window { strides: vec![1, 2, 2, 1], ..Window::new([1, 2, 2, 1]) };
    let uneven = Window {
        strides: vec![2, 1],
        base_dilations: vec![1, 2],
        window_dilations: vec![2, 1],
        padding: vec![(1, 0), (2, -1)],
        ..Window::new([2, 3])
    };
    let overlapping = Window { strides: vec![2, 1], padding: vec![(1, 1), (0, 2)], ..Window::new([3, 2]) };
    let (sum, max, dilated_max) = (halves.clone(), halves, uneven.clone());
    vec![
        Sample::new("reduce_window sum", move |x| vec![x[0].reduce_window_sum(&sum).exp()]).input(
            f,
            [2, 4, 5, 2],
            -0.5,
            0.5,
        ),
        Sample::new("reduce_window sum, dilated and padded", move |x| vec![x[0].reduce_window_sum(&uneven).exp()])
            .input(f, [6, 4], -0.5, 0.5),
        Sample::new("reduce_window max", move |x| vec![x[0].reduce_window_max(&max)]).input(f, [2, 4, 5, 2], -1.0, 1.0),
        Sample::new("reduce_window max, overlapping", move |x| vec![x[0].reduce_window_max(&overlapping)]).input(
            f,
            [6, 4],
            -1.0,
            1.0,
        ),
        // Some windows contain only padding, where the maximum has no derivative to compare.
        Sample::new("reduce_window max, dilated and padded", move |x| {
            vec![x[0].reduce_window_max(&dilated_max).maximum(-2.0)]
        })
        .input(f, [6, 4], -1.0, 1.0),
    ]
}
