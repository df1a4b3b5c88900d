//! Convolutions over one or two axes.

use std::sync::Arc;

use spiq_hlo::{ConvDims, Convolution, Tensor};

use super::arguments::{described, layer};
use super::layer::{Layer, Synapses};
use super::padding::{Padding, places};
use super::parameter::{Init, Parameter};
use super::step::Step;

layer! {
    /// A convolution of sequences or images with a learned kernel.
    ///
    /// A one-element list for the window axes applies to all of them.
    ///
    /// Shapes: x [B, W, C] or [B, H, W, C], features last, to the same axes; parameters `kernel`
    /// [kernel_size…, in_features / feature_group_count, out_features] and `bias` `[out_features]`. Errors, when applied: sizes
    /// that do not fit. Source: `flax.nnx.Conv`.
    ///
    /// ```
    /// use spiq::nn::{Conv, Layer, Padding};
    /// let layer = Conv { strides: vec![2], ..Conv::new(3, 16, [5, 5]) };
    /// assert_eq!(layer.output(&[28, 28, 3]), Ok(vec![14, 14, 16]));
    /// let layer = Conv { padding: Padding::Valid, ..layer };
    /// assert_eq!(layer.output(&[28, 28, 3]), Ok(vec![12, 12, 16]));
    /// assert_eq!(layer.parameters()[0].dims, [5, 5, 3, 16]);
    /// ```
    pub struct Conv = "Conv" {
        needs {
            /// Number of input features.
            in_features: usize,
            /// Number of output features.
            out_features: usize,
            /// Window sizes: one for sequences, two for images.
            kernel_size: Vec<usize>,
        }
        takes {
            /// Window strides.
            strides: Vec<usize> = vec![1],
            /// Padding around the input.
            padding: Padding = Padding::Same,
            /// Spacing of the input elements, with zeros between them (a transposed convolution).
            input_dilation: Vec<usize> = vec![1],
            /// Spacing of the kernel elements.
            kernel_dilation: Vec<usize> = vec![1],
            /// Number of feature groups that are convolved separately.
            feature_group_count: usize = 1,
            /// Whether a bias is added.
            use_bias: bool = true,
        }
    }
}

impl Conv {
    /// A convolution of stride 1 with `SAME` padding and a bias.
    pub fn new(in_features: usize, out_features: usize, kernel_size: impl Into<Vec<usize>>) -> Conv {
        Conv::with_defaults(in_features, out_features, kernel_size.into())
    }

    /// The window along each of its axes, for an image of these sizes.
    fn axes(&self, sizes: &[usize]) -> Vec<Axis> {
        let at = |list: &[usize], i: usize| list[if list.len() == 1 { 0 } else { i }];
        let axis = |(i, &size): (usize, &usize)| {
            let (stride, dilation) = (at(&self.strides, i), at(&self.kernel_dilation, i));
            let window = (self.kernel_size[i] - 1) * dilation + 1;
            let padding = self.padding.of_axis(i, size, window, stride);
            Axis { size, stride, dilation, window, padding, input_dilation: at(&self.input_dilation, i) }
        };
        sizes.iter().enumerate().map(axis).collect()
    }
}

/// One axis of the window.
struct Axis {
    size: usize,
    stride: usize,
    dilation: usize,
    input_dilation: usize,
    /// Elements that the window spans, including its dilation.
    window: usize,
    padding: (usize, usize),
}

impl Axis {
    /// Size of the output.
    fn places(&self, padding: &Padding) -> usize {
        let (padded, around) = match padding.is_of_the_image() {
            true => (self.size + self.padding.0 + self.padding.1, 0),
            false => (self.size, self.padding.0 + self.padding.1),
        };
        places((padded - 1) * self.input_dilation + 1 + around, self.window, self.stride)
    }

    fn fits(&self, padding: &Padding) -> bool {
        self.padding.0.max(self.padding.1) <= padding.most(self.size) && self.places(padding) > 0
    }
}

impl Layer for Conv {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        let axes = self.kernel_size.len();
        if !(1..=2).contains(&axes) || self.kernel_size.contains(&0) {
            return Err(("kernel_size", format!("is {:?}, but must be one or two sizes from 1 up", self.kernel_size)));
        }
        let lists = [
            ("strides", &self.strides),
            ("input_dilation", &self.input_dilation),
            ("kernel_dilation", &self.kernel_dilation),
        ];
        for (name, list) in lists {
            if (list.len() != 1 && list.len() != axes) || list.contains(&0) {
                return Err((name, format!("is {list:?}, but must be a number from 1 up for each of {axes} axes")));
            }
        }
        self.padding.check(axes).map_err(|reason| ("padding", reason))?;
        // As in JAX: SAME has no settled meaning here.
        if self.input_dilation.iter().any(|&apart| apart != 1) && !matches!(self.padding, Padding::Explicit(_)) {
            return Err(("padding", format!("is {:?}, but must be numbers beside an input_dilation", self.padding)));
        }
        let groups = self.feature_group_count;
        if groups == 0 || !self.in_features.is_multiple_of(groups) || !self.out_features.is_multiple_of(groups) {
            let reason = format!(
                "is {groups}, but must divide in_features ({}) and out_features ({})",
                self.in_features, self.out_features
            );
            return Err(("feature_group_count", reason));
        }
        Ok(())
    }
    fn parameters(&self) -> Vec<Parameter> {
        let features = [self.in_features / self.feature_group_count.max(1), self.out_features];
        let kernel = Parameter::new("kernel", [&self.kernel_size, &features[..]].concat(), Init::LecunNormal);
        let bias = Parameter::new("bias", [self.out_features], Init::Zeros);
        if self.use_bias { vec![kernel, bias] } else { vec![kernel] }
    }
    fn with_bias(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Conv { use_bias: true, ..self.clone() }))
    }
    fn synapses(&self) -> Option<Synapses> {
        Some(Synapses::OfInput)
    }
    fn takes(&self) -> Vec<usize> {
        [vec![0; self.kernel_size.len()], vec![self.in_features]].concat()
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let axes = self.kernel_size.len();
        let wanted = ["?, ".repeat(axes), self.in_features.to_string()].concat();
        let sizes = match input.split_last() {
            Some((&last, sizes)) if sizes.len() == axes && (last == self.in_features || last == 0) => sizes,
            _ => return Err(format!("takes [{wanted}]")),
        };
        let axes = self.axes(sizes);
        if let Some(axis) = axes.iter().find(|axis| axis.size > 0 && !axis.fits(&self.padding)) {
            let (window, padding) = (axis.window, &self.padding);
            return Err(format!("takes [{wanted}] with room for a window of {window} (padding {padding:?})"));
        }
        let out = axes.iter().map(|axis| if axis.size == 0 { 0 } else { axis.places(&self.padding) });
        Ok(out.chain([self.out_features]).collect())
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let rank = self.kernel_size.len() + 2;
        if x.rank() != rank {
            return x.clone();
        }
        let axes = self.axes(&x.dims()[1..rank - 1]);
        let (mut x, mut padding) = (x.clone(), Vec::new());
        for (i, axis) in axes.iter().enumerate() {
            let (low, high) = axis.padding;
            if self.padding.is_of_the_image() {
                x = self.padding.around(&x, i + 1, axis.padding);
                padding.push((0, 0));
            } else {
                padding.push((low as i64, high as i64));
            }
        }
        let convolution = Convolution {
            strides: axes.iter().map(|axis| axis.stride).collect(),
            padding,
            input_dilation: axes.iter().map(|axis| axis.input_dilation).collect(),
            kernel_dilation: axes.iter().map(|axis| axis.dilation).collect(),
            groups: self.feature_group_count,
            ..Convolution::new(ConvDims::features_last(rank), x.dtype())
        };
        let y = x.convolution(&at.parameter("kernel"), &convolution);
        if self.use_bias { y + at.parameter("bias") } else { y }
    }
}
