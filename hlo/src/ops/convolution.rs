//! General convolutions: any axis order, strides, padding, dilations, feature groups.

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::shard::{Laid, Local, Split};
use crate::graph::tensor::Tensor;
use crate::ops::sample::Sample;
use crate::ops::shape::Transpose;
use crate::ops::window::{pairs, same_padding, spread};
use crate::print::PRECISION_CONFIG;
use crate::print::literal::array_i64;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// The role of each axis. The window axes are listed in the same order for all three tensors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvDims {
    /// The input's batch and feature axes, then those of the window.
    pub input: Axes,
    /// The kernel's output-feature axis (as `outer`) and input-feature axis (as `feature`), then those of the window.
    pub kernel: Axes,
    /// The result's batch and feature axes, then those of the window.
    pub output: Axes,
}

/// The axes of one tensor of a convolution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Axes {
    /// The batch; for a kernel, the output features.
    pub outer: usize,
    /// The features; for a kernel, the input features.
    pub feature: usize,
    /// The axes that the window moves along.
    pub window: Vec<usize>,
}

impl Axes {
    /// Batch first, features last.
    fn last(rank: usize) -> Axes {
        let feature = rank.saturating_sub(1);
        Axes { outer: 0, feature, window: (1..feature).collect() }
    }

    fn all(&self) -> Vec<usize> {
        [&[self.outer, self.feature], &self.window[..]].concat()
    }

    /// Names by axis, in the order of the printed dimension numbers.
    fn named(&self, outer: char, feature: char) -> String {
        let name = |axis: usize| match self.window.iter().position(|&a| a == axis) {
            Some(place) => place.to_string(),
            None if axis == self.outer => outer.to_string(),
            None => feature.to_string(),
        };
        (0..self.window.len() + 2).map(name).collect::<Vec<_>>().join(", ")
    }

    /// The same axes with batch and features exchanged.
    fn swapped(&self) -> Axes {
        Axes { outer: self.feature, feature: self.outer, window: self.window.clone() }
    }
}

impl ConvDims {
    /// Inputs `[batch, window…, features]`, kernels `[window…, input features, output features]`, as in flax.
    pub fn features_last(rank: usize) -> ConvDims {
        let feature = rank.saturating_sub(2);
        let kernel = Axes { outer: rank.saturating_sub(1), feature, window: (0..feature).collect() };
        ConvDims { input: Axes::last(rank), kernel, output: Axes::last(rank) }
    }
}

/// A convolution. [`Convolution::new`] sets dilations and strides to 1, no padding and one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// The role of each axis.
    pub dims: ConvDims,
    /// Strides of the window along each of its axes.
    pub strides: Vec<usize>,
    /// Zeros added before and after the input along each window axis; negative numbers crop.
    pub padding: Vec<(i64, i64)>,
    /// Spacing of the input's elements, with zeros in between (a transposed convolution).
    pub input_dilation: Vec<usize>,
    /// Spacing of the kernel's elements.
    pub kernel_dilation: Vec<usize>,
    /// Groups of features that are convolved separately.
    pub groups: usize,
    /// Element type of the result and of the accumulator.
    pub out: DType,
}

impl Convolution {
    /// A convolution with stride 1 in one group, without padding or dilation.
    pub fn new(dims: ConvDims, out: DType) -> Convolution {
        let ones = vec![1; dims.input.window.len()];
        Convolution {
            strides: ones.clone(),
            padding: vec![(0, 0); ones.len()],
            input_dilation: ones.clone(),
            kernel_dilation: ones,
            groups: 1,
            dims,
            out,
        }
    }

    /// Pads so that the result has the size of the input divided by the strides and rounded up (`SAME` in XLA and flax).
    #[must_use]
    pub fn same_padding(mut self, input: &[usize], kernel: &[usize]) -> Convolution {
        // Shape inference rejects lists that are too short.
        let at = |list: &[usize], i: usize| list.get(i).copied().unwrap_or(1).max(1);
        let size = |dims: &[usize], axes: &Axes, i: usize| axes.window.get(i).map_or(1, |&axis| at(dims, axis));
        let pad = |i: usize| {
            let (input, stride) = (size(input, &self.dims.input, i), at(&self.strides, i));
            let window = spread(size(kernel, &self.dims.kernel, i), at(&self.kernel_dilation, i));
            same_padding(input, window as usize, stride)
        };
        self.padding = (0..self.dims.input.window.len()).map(pad).collect();
        self
    }

    fn check(&self, x: &TensorType, k: &TensorType) -> Result<(), Violation> {
        let (rank, window) = (x.rank(), x.rank().saturating_sub(2));
        let proper = |axes: &Axes| {
            let mut all = axes.all();
            all.sort_unstable();
            all.into_iter().eq(0..rank)
        };
        let size = |ty: &TensorType, axis: usize| ty.dims.get(axis).copied().unwrap_or(0);
        let (features, kernel_features) = (size(x, self.dims.input.feature), size(k, self.dims.kernel.feature));
        let outputs = size(k, self.dims.kernel.outer);
        let groups = self.groups.max(1);
        let lists = |list: &[usize], what: &str| format!("{list:?} are the {what} of {window} axes");
        let dims = &self.dims;
        let rules = [
            ("C1", k.rank() == rank && rank >= 2, format!("the input {x} and the kernel {k} differ in rank")),
            ("C2", self.strides.len() == window, lists(&self.strides, "strides")),
            ("C3", !self.strides.contains(&0), lists(&self.strides, "strides")),
            ("C4", self.padding.len() == window, format!("{:?} pads {window} axes", self.padding)),
            ("C5", self.input_dilation.len() == window, lists(&self.input_dilation, "input's dilations")),
            ("C6", !self.input_dilation.contains(&0), lists(&self.input_dilation, "input's dilations")),
            ("C7", self.kernel_dilation.len() == window, lists(&self.kernel_dilation, "kernel's dilations")),
            ("C8", !self.kernel_dilation.contains(&0), lists(&self.kernel_dilation, "kernel's dilations")),
            ("C12", dims.input.window.len() == window, lists(&dims.input.window, "input's window")),
            ("C13", proper(&dims.input), format!("{:?} are not the axes of {x}", dims.input.all())),
            ("C17", dims.kernel.window.len() == window, lists(&dims.kernel.window, "kernel's window")),
            ("C18", proper(&dims.kernel), format!("{:?} are not the axes of {k}", dims.kernel.all())),
            ("C19", dims.output.window.len() == window, lists(&dims.output.window, "result's window")),
            ("C20", proper(&dims.output), format!("{:?} are not {rank} axes", dims.output.all())),
            ("C21", self.groups > 0, "the number of feature groups is 0".to_owned()),
            ("C11", features % groups == 0, format!("{features} features of {x} do not divide into {groups} groups")),
            (
                "C14",
                kernel_features == features / groups,
                format!(
                    "{kernel_features} input features of {k} do not match {features} features of {x} in {groups} groups"
                ),
            ),
            (
                "C16",
                outputs % groups == 0,
                format!("{outputs} output features of {k} do not divide into {groups} groups"),
            ),
            ("C27", x.dtype == k.dtype, format!("the input {x} and the kernel {k} differ in element type")),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((constraint, _, message)) => Err(Violation::new(constraint, message)),
            None => Ok(()),
        }
    }

    /// Dilated sizes of the input and of the kernel along one window axis.
    fn dilated(&self, i: usize, x: &[usize], k: &[usize]) -> (i64, i64) {
        let (input, kernel) = (x[self.dims.input.window[i]], k[self.dims.kernel.window[i]]);
        (spread(input, self.input_dilation[i]), spread(kernel, self.kernel_dilation[i]))
    }

    /// Number of window positions along one axis.
    fn places(&self, i: usize, x: &[usize], k: &[usize]) -> usize {
        let (input, kernel) = self.dilated(i, x, k);
        let padded = self.padding[i].0 + input + self.padding[i].1;
        if padded <= 0 || kernel > padded { 0 } else { (padded - kernel) as usize / self.strides[i] + 1 }
    }

    #[track_caller]
    fn on(&self, x: &Tensor, kernel: &Tensor) -> Tensor {
        x.graph().apply(self.clone(), &[x, kernel])
    }

    /// The convolution on one of several devices, which divide the input's features: a sum over devices. Each group of features must be
    /// divided, as the kernel's features are.
    fn over_features(&self, local: &Local, x: Split) -> Option<Vec<Laid>> {
        let blocks = (x.blocks.is_multiple_of(self.groups)).then_some(x.blocks / self.groups)?;
        let kernel = local.part(1, Split { axis: self.dims.kernel.feature, blocks });
        let parts = self.on(&local.ins[0].tensor, &kernel);
        Some(vec![Laid::whole(parts.sum_over_devices(local.devices()))])
    }

    /// The input's cotangent: the result's cotangent, dilated by the strides, convolved with the reversed kernel. Reads only the shape of
    /// the input; accumulates in `out`.
    pub fn input_cotangent(&self, ct: &Tensor, x: &Tensor, k: &Tensor, out: DType) -> Tensor {
        if ct.ty().count() == 0 {
            return ct.graph().zeros(TensorType::new(out, x.dims()));
        }
        let axes = &self.dims.kernel;
        // Exchanges the kernel's input and output features within each group.
        let turned = self.regrouped(k, axes.outer, axes.feature);
        let (i, places) = (x.dims(), ct.dims());
        let padding = |w: usize| {
            let (input, kernel) = self.dilated(w, i, k.dims());
            let output = spread(places[self.dims.output.window[w]], self.strides[w]);
            let before = kernel - self.padding[w].0 - 1;
            (before, input + kernel - 1 - output - before)
        };
        let op = Convolution {
            dims: ConvDims { input: self.dims.output.clone(), kernel: axes.swapped(), output: self.dims.input.clone() },
            strides: self.input_dilation.clone(),
            padding: (0..self.strides.len()).map(padding).collect(),
            input_dilation: self.strides.clone(),
            kernel_dilation: self.kernel_dilation.clone(),
            groups: self.groups,
            out,
        };
        op.on(ct, &turned.reverse(&axes.window))
    }

    /// The kernel's cotangent: the input, with batch and features exchanged, convolved with the result's cotangent. Reads only the shape
    /// of the kernel; accumulates in `out`.
    pub fn kernel_cotangent(&self, ct: &Tensor, x: &Tensor, k: &Tensor, out: DType) -> Tensor {
        if ct.ty().count() == 0 {
            // An empty result would be an empty window here, which compilers reject.
            return ct.graph().zeros(TensorType::new(out, k.dims()));
        }
        let axes = &self.dims.input;
        let padding = |w: usize, x: &Tensor| {
            let (input, kernel) = self.dilated(w, x.dims(), k.dims());
            let output = spread(ct.dims()[self.dims.output.window[w]], self.strides[w]);
            let before = self.padding[w].0;
            (before, output - input + kernel - before - 1)
        };
        // With strides, elements at the end of an axis can remain unread. They are sliced off here, because XLA has no fast CPU convolution
        // with negative padding.
        let read = (0..self.strides.len()).fold(x.clone(), |x, w| match padding(w, &x).1 {
            after @ ..0 if self.input_dilation[w] == 1 => {
                let axis = axes.window[w];
                x.slice_axis(axis as isize, 0, x.dims()[axis] - after.unsigned_abs() as usize)
            }
            _ => x,
        });
        // Each group of features becomes a part of the batch, which is summed separately.
        let turned = self.regrouped(&read, axes.feature, axes.outer);
        let op = Convolution {
            dims: ConvDims {
                input: axes.swapped(),
                kernel: self.dims.output.swapped(),
                output: self.dims.kernel.swapped(),
            },
            strides: self.kernel_dilation.clone(),
            padding: (0..self.strides.len()).map(|w| padding(w, &read)).collect(),
            input_dilation: self.input_dilation.clone(),
            kernel_dilation: self.strides.clone(),
            groups: self.groups,
            out,
        };
        op.on(&turned, ct)
    }

    /// A tensor whose groups, the leading factor of axis `from`, become that of axis `into`.
    fn regrouped(&self, t: &Tensor, from: usize, into: usize) -> Tensor {
        match self.groups {
            1 => t.clone(),
            groups => join(&part(t, from, groups), from, into + usize::from(into > from)),
        }
    }
}

/// Splits a leading factor off `axis`, as a new axis before it.
fn part(t: &Tensor, axis: usize, groups: usize) -> Tensor {
    let mut dims = t.dims().to_vec();
    dims[axis] /= groups;
    dims.insert(axis, groups);
    t.reshape(&dims)
}

/// Merges axis `from` into axis `into` as its leading factor; both indices refer to the tensor before the merge.
fn join(t: &Tensor, from: usize, into: usize) -> Tensor {
    let mut order: Vec<usize> = (0..t.rank()).filter(|&a| a != from).collect();
    let at = order.iter().position(|&a| a == into).expect("an axis of the tensor");
    order.insert(at, from);
    let moved = t.transpose(&order);
    let mut dims = moved.dims().to_vec();
    let groups = dims.remove(at);
    dims[at] *= groups;
    moved.reshape(&dims)
}

/// The sum over the slices of a convolution that was mapped over both operands, whose slices became feature groups: one convolution
/// over the features of all slices. `None` if the tensor is not such a convolution.
///
/// XLA on CPUs is fast with few groups and slow with many.
pub(crate) fn sum_of_slices(tensor: &Tensor) -> Option<Tensor> {
    let graph = tensor.graph();
    let (mut value, mut axis) = (tensor.value(), 0);
    if let Some(Transpose(order)) = graph.node(value.node).op.downcast() {
        axis = order[0];
        // The slice axis was moved to the front; the other axes kept their order.
        order[1..].iter().copied().eq((0..order.len()).filter(|&other| other != axis)).then_some(())?;
        value = graph.node(value.node).operands[0];
    }
    let slices = graph.tensor(value);
    let parted = graph.node(value.node);
    let whole = graph.tensor(*parted.operands.first()?);
    let node = graph.node(whole.value().node);
    let conv = node.op.downcast::<Convolution>()?;
    let size = slices.dims()[axis];
    let of_features = conv.dims.output.feature == axis && conv.groups == size && conv.out.is_float();
    (of_features && parted.op.name() == "reshape" && part(&whole, axis, size).dims() == slices.dims()).then_some(())?;
    let [x, k] = [0, 1].map(|i| graph.tensor(node.operands[i]));
    let axes = &conv.dims.kernel;
    // The slice is the leading factor of the kernel's output features; it becomes the leading factor of its input features.
    let moved = axes.feature + usize::from(axes.feature >= axes.outer);
    let kernel = join(&part(&k, axes.outer, size), axes.outer, moved);
    Some(Convolution { groups: 1, ..conv.clone() }.on(&x, &kernel))
}

impl Op for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        let (x, k) = (&operands[0], &operands[1]);
        self.check(x, k)?;
        let mut dims = vec![0; x.rank()];
        let output = &self.dims.output;
        dims[output.outer] = x.dims[self.dims.input.outer];
        dims[output.feature] = k.dims[self.dims.kernel.outer];
        output.window.iter().enumerate().for_each(|(i, &axis)| dims[axis] = self.places(i, &x.dims, &k.dims));
        Ok(vec![TensorType::new(self.out, dims)])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let precision = "#stablehlo<precision DEFAULT>";
        let ConvDims { input, kernel, output } = &self.dims;
        let (input, output) = (input.named('b', 'f'), output.named('b', 'f'));
        vec![
            ("batch_group_count", "1 : i64".to_owned()),
            ("dimension_numbers", format!("#stablehlo.conv<[{input}]x[{}]->[{output}]>", kernel.named('o', 'i'))),
            ("feature_group_count", format!("{} : i64", self.groups)),
            ("lhs_dilation", array_i64(&self.input_dilation)),
            ("padding", pairs(&self.padding)),
            (PRECISION_CONFIG, format!("[{precision}, {precision}]")),
            ("rhs_dilation", array_i64(&self.kernel_dilation)),
            ("window_strides", array_i64(&self.strides)),
        ]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let (ct, x, k) = (reverse.ct(), &reverse.ins[0], &reverse.ins[1]);
        vec![
            reverse.needs[0].then(|| self.input_cotangent(ct, x, k, x.dtype())),
            reverse.needs[1].then(|| self.kernel_cotangent(ct, x, k, k.dtype())),
        ]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        let (x, k) = (&mapped.ins[0], &mapped.ins[1]);
        let ConvDims { input, kernel, output } = &self.dims;
        let y = match mapped.mapped {
            // Slices of the input join the batch.
            [true, false] => {
                let y = self.on(&join(x, 0, input.outer + 1), k);
                (part(&y, output.outer, mapped.size), output.outer)
            }
            // Slices of the kernel become more output features; this requires a single group.
            [false, true] if self.groups == 1 => {
                let y = self.on(x, &join(k, 0, kernel.outer + 1));
                (part(&y, output.feature, mapped.size), output.feature)
            }
            // Slices of both become feature groups.
            _ => {
                let (x, k) = (mapped.operand(0), mapped.operand(1));
                let op = Convolution { groups: self.groups * mapped.size, ..self.clone() };
                let y = op.on(&join(&x, 0, input.feature + 1), &join(&k, 0, kernel.outer + 1));
                (part(&y, output.feature, mapped.size), output.feature)
            }
        };
        let (y, axis) = y;
        let order: Vec<usize> = std::iter::once(axis).chain((0..y.rank()).filter(|&a| a != axis)).collect();
        Some(vec![y.transpose(&order)])
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        match [local.split(0), local.split(1)] {
            [Some(x), _] if x.axis == self.dims.input.outer => {
                let y = self.on(&local.ins[0].tensor, &local.whole(1));
                Local::one(y, x.at(self.dims.output.outer))
            }
            [Some(x), _] if x.axis == self.dims.input.feature => self.over_features(local, x),
            [None, Some(k)] if k.axis == self.dims.kernel.outer && self.groups == 1 => {
                let y = self.on(&local.ins[0].tensor, &local.ins[1].tensor);
                Local::one(y, k.at(self.dims.output.feature))
            }
            _ => None,
        }
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
}

impl Tensor {
    /// This tensor convolved with `kernel`. Spec: convolution.
    ///
    /// ```
    /// use spiq_hlo::{trace, ConvDims, Convolution, DType, TensorType};
    /// let (x, k) = (TensorType::new(DType::F32, [8, 28, 28, 1]), TensorType::new(DType::F32, [3, 3, 1, 16]));
    /// let conv = Convolution::new(ConvDims::features_last(4), DType::F32).same_padding(&x.dims, &k.dims);
    /// let f = trace(&[("x", x), ("k", k)], |x| vec![x[0].convolution(&x[1], &conv)])?;
    /// assert_eq!(f.result_types()[0].to_string(), "f32[8,28,28,16]");
    /// # Ok::<(), spiq_hlo::GraphErrors>(())
    /// ```
    #[track_caller]
    #[doc(alias = "conv_general_dilated")]
    #[doc(alias = "conv2d")]
    pub fn convolution(&self, kernel: &Tensor, convolution: &Convolution) -> Tensor {
        convolution.on(self, kernel)
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let f = DType::F64;
    let plain = Convolution::new(ConvDims::features_last(4), f);
    let grouped = Convolution {
        strides: vec![2, 1],
        padding: vec![(1, 0), (2, -1)],
        input_dilation: vec![1, 2],
        kernel_dilation: vec![2, 1],
        groups: 2,
        ..plain.clone()
    };
    let odd = ConvDims {
        input: Axes { outer: 2, feature: 0, window: vec![1] },
        kernel: Axes { outer: 0, feature: 2, window: vec![1] },
        output: Axes { outer: 1, feature: 2, window: vec![0] },
    };
    let odd = Convolution { strides: vec![3], padding: vec![(2, 3)], ..Convolution::new(odd, f) };
    let bytes = Convolution::new(ConvDims::features_last(3), DType::S32);
    vec![
        Sample::new("convolution", move |x| vec![x[0].convolution(&x[1], &plain)])
            .input(f, [2, 4, 5, 3], -1.0, 1.0)
            .input(f, [2, 3, 3, 2], -1.0, 1.0),
        Sample::new("convolution in groups, dilated", move |x| vec![x[0].convolution(&x[1], &grouped)])
            .input(f, [2, 5, 3, 4], -1.0, 1.0)
            .input(f, [2, 2, 2, 6], -1.0, 1.0),
        Sample::new("convolution with axes in odd places", move |x| vec![x[0].convolution(&x[1], &odd)])
            .input(f, [3, 8, 2], -1.0, 1.0)
            .input(f, [4, 3, 3], -1.0, 1.0),
        Sample::new("convolution s8 to s32", move |x| vec![x[0].convolution(&x[1], &bytes)])
            .input(DType::S8, [2, 9, 3], -128.0, 127.0)
            .input(DType::S8, [4, 3, 5], -128.0, 127.0)
            .forward_only(),
    ]
}
