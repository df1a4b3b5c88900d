//! Pooling over windows of sequences or images.

use spiq_hlo::{Array, Tensor, Window};

use super::arguments::{described, layer};
use super::layer::Layer;
use super::padding::{Padding, places};
use super::step::Step;

layer! {
    /// The sum over each window: the number of spikes in it.
    ///
    /// A single number for window_shape or strides applies to all axes that the window moves along: those of the image, not the
    /// features.
    ///
    /// Shapes: x [B, …, C] to the same axes. Errors, when applied: sizes that do not fit. Source: `spyx.nn.SumPool`.
    ///
    /// ```
    /// use spiq::nn::{Layer, Padding, SumPool};
    /// let layer = SumPool::new([2, 2], [2, 2], Padding::Valid);
    /// assert_eq!(layer.output(&[28, 28, 16]), Ok(vec![14, 14, 16]));
    /// ```
    pub struct SumPool = "SumPool" {
        needs {
            /// Window sizes.
            window_shape: Vec<usize>,
            /// Window strides.
            strides: Vec<usize>,
            /// Padding around an image: `SAME` or `VALID`.
            padding: Padding,
        }
        takes {
            /// The axis that is not pooled; the batch is axis 0, and negative numbers count from the end.
            channel_axis: i64 = -1,
        }
    }
}

layer! {
    /// The mean over each window.
    ///
    /// Lists are as for [`SumPool`]. Shapes: x [B, …, C] to the same axes. Errors, when applied: sizes that do not fit. Source:
    /// `flax.nnx.avg_pool`.
    ///
    /// ```
    /// use spiq::nn::{AvgPool, Layer};
    /// let layer = AvgPool { strides: vec![2], ..AvgPool::new([2]) };
    /// assert_eq!(layer.output(&[28, 28, 16]), Ok(vec![14, 14, 16]));
    /// ```
    pub struct AvgPool = "AvgPool" {
        needs {
            /// Window sizes.
            window_shape: Vec<usize>,
        }
        takes {
            /// Window strides; 1 by default, as in flax.
            strides: Vec<usize> = vec![1],
            /// Padding around an image: `SAME`, `VALID` or numbers.
            padding: Padding = Padding::Valid,
            /// Whether padding counts as elements of the window.
            count_include_pad: bool = true,
        }
    }
}

layer! {
    /// The largest element of each window.
    ///
    /// Lists are as for [`SumPool`]. Of equal elements, the first receives the gradient. Shapes: x [B, …, C] to the same axes.
    /// Errors, when applied: sizes that do not fit. Source: `flax.nnx.max_pool`.
    ///
    /// ```
    /// use spiq::nn::{Layer, MaxPool};
    /// let layer = MaxPool { strides: vec![2], ..MaxPool::new([2]) };
    /// assert_eq!(layer.output(&[28, 28, 16]), Ok(vec![14, 14, 16]));
    /// ```
    pub struct MaxPool = "MaxPool" {
        needs {
            /// Window sizes.
            window_shape: Vec<usize>,
        }
        takes {
            /// Window strides; 1 by default, as in flax.
            strides: Vec<usize> = vec![1],
            /// Padding around an image: `SAME`, `VALID` or numbers.
            padding: Padding = Padding::Valid,
        }
    }
}

impl SumPool {
    /// Sum pooling with features on the last axis.
    pub fn new(window_shape: impl Into<Vec<usize>>, strides: impl Into<Vec<usize>>, padding: Padding) -> SumPool {
        SumPool::with_defaults(window_shape.into(), strides.into(), padding)
    }

    fn pool(&self) -> Pool<'_> {
        let SumPool { window_shape, strides, padding, channel_axis } = self;
        Pool { sizes: window_shape, strides, padding, channel_axis: *channel_axis }
    }
}

impl AvgPool {
    /// Mean pooling with stride 1, without padding.
    pub fn new(window_shape: impl Into<Vec<usize>>) -> AvgPool {
        AvgPool::with_defaults(window_shape.into())
    }

    fn pool(&self) -> Pool<'_> {
        Pool { sizes: &self.window_shape, strides: &self.strides, padding: &self.padding, channel_axis: -1 }
    }
}

impl MaxPool {
    /// Max pooling with stride 1, without padding.
    pub fn new(window_shape: impl Into<Vec<usize>>) -> MaxPool {
        MaxPool::with_defaults(window_shape.into())
    }

    fn pool(&self) -> Pool<'_> {
        Pool { sizes: &self.window_shape, strides: &self.strides, padding: &self.padding, channel_axis: -1 }
    }
}

/// A window over the axes of an image.
struct Pool<'a> {
    sizes: &'a [usize],
    strides: &'a [usize],
    padding: &'a Padding,
    channel_axis: i64,
}

impl Pool<'_> {
    fn check(&self) -> Result<(), (&'static str, String)> {
        for (name, list) in [("window_shape", self.sizes), ("strides", self.strides)] {
            if list.is_empty() || list.contains(&0) {
                return Err((name, format!("is {list:?}, but must be a size or a list of sizes from 1 up")));
            }
        }
        match self.padding {
            Padding::Same | Padding::Valid | Padding::Explicit(_) => Ok(()),
            other => Err(("padding", format!("is {other:?}, but a pool takes SAME, VALID or numbers"))),
        }
    }

    /// The window over a sample with axes of these sizes, with the batch axis in front.
    fn window(&self, sample: &[usize]) -> Result<Window, String> {
        let rank = sample.len() + 1;
        let channels = if self.channel_axis < 0 { self.channel_axis + rank as i64 } else { self.channel_axis };
        let moved: Vec<usize> = (1..rank).filter(|&axis| axis as i64 != channels).collect();
        let counts = |list: &[usize]| list.len() == 1 || list.len() == moved.len();
        if moved.is_empty() || !(1..rank as i64).contains(&channels) || !counts(self.sizes) || !counts(self.strides) {
            let axes = self.sizes.len().max(self.strides.len());
            return Err(format!("takes features and as many other axes as its window has, {axes}"));
        }
        if self.padding.check(moved.len()).is_err() {
            return Err("takes as many axes besides the features as its padding has pairs".to_owned());
        }
        let mut window = Window::new(vec![1; rank]);
        for (i, &axis) in moved.iter().enumerate() {
            let at = |list: &[usize]| list[if list.len() == 1 { 0 } else { i }];
            let (size, stride) = (at(self.sizes), at(self.strides));
            let (low, high) = self.padding.of_axis(i, sample[axis - 1], size, stride);
            (window.sizes[axis], window.strides[axis]) = (size, stride);
            window.padding[axis] = (low as i64, high as i64);
        }
        Ok(window)
    }

    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let window = self.window(input)?;
        let size = |(i, &size): (usize, &usize)| {
            let (low, high) = window.padding[i + 1];
            let places = places(size + (low + high) as usize, window.sizes[i + 1], window.strides[i + 1]);
            if size == 0 { Ok(0) } else { Some(places).filter(|places| *places > 0).ok_or(window.sizes[i + 1]) }
        };
        let sizes: Result<Vec<usize>, usize> = input.iter().enumerate().map(size).collect();
        sizes.map_err(|window| format!("takes images with room for a window of {window}"))
    }
}

impl Layer for SumPool {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        match &self.padding {
            Padding::Explicit(_) => Err(("padding", "has numbers, but must be SAME or VALID".to_owned())),
            _ => self.pool().check(),
        }
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        self.pool().output(input)
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        pooled(&self.pool(), x, |window| x.reduce_window_sum(window))
    }
}

impl Layer for AvgPool {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        self.pool().check()
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        self.pool().output(input)
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        pooled(&self.pool(), x, |window| {
            let sum = x.reduce_window_sum(window);
            match self.count_include_pad {
                true => sum / window.sizes.iter().product::<usize>() as f64,
                false => &sum * sum.graph().constant(&reciprocals(window, x.dims(), sum.dims())).convert(sum.dtype()),
            }
        })
    }
}

/// The reciprocal of the number of window elements that are not padding, at each position of a window, in f32; of size 1 along
/// an axis where the number is the same at all positions.
///
/// Reciprocals, and constants of the program: if counts were computed, a compiler would divide by them in one program and
/// multiply in another, and training and prediction would differ in the last digits.
fn reciprocals(window: &Window, dims: &[usize], places: &[usize]) -> Array {
    let of_axis = |axis: usize| -> Vec<usize> {
        let inside = |place: usize| {
            let start = (place * window.strides[axis]) as i64 - window.padding[axis].0;
            let elements = start..start + window.sizes[axis] as i64;
            elements.filter(|element| (0..dims[axis] as i64).contains(element)).count()
        };
        let mut counts: Vec<usize> = (0..places[axis]).map(inside).collect();
        if counts.windows(2).all(|pair| pair[0] == pair[1]) {
            counts.truncate(1);
        }
        counts
    };
    let of_axes: Vec<Vec<usize>> = (0..dims.len()).map(of_axis).collect();
    let sizes: Vec<usize> = of_axes.iter().map(Vec::len).collect();
    let with_axis = |products: Vec<usize>, counts: &Vec<usize>| -> Vec<usize> {
        products.iter().flat_map(|product| counts.iter().map(move |count| product * count)).collect()
    };
    let counts = of_axes.iter().fold(vec![1], with_axis);
    Array::new(sizes, counts.into_iter().map(|count| 1.0 / count as f32).collect::<Vec<_>>()).expect("one per position")
}

/// The largest window of a maximum, in elements: its gradient takes one pass per element.
const LARGEST_MAXIMUM: usize = 1024;

impl Layer for MaxPool {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        self.pool().check()
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let elements: usize = self.pool().window(input)?.sizes.iter().product();
        match elements > LARGEST_MAXIMUM {
            true => Err(format!("takes windows of up to {LARGEST_MAXIMUM} elements, not {elements}; pool twice")),
            false => self.pool().output(input),
        }
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        pooled(&self.pool(), x, |window| x.reduce_window_max(window))
    }
}

/// The pooled batch; a batch that does not fit was refused before the first step.
#[track_caller]
fn pooled(pool: &Pool<'_>, x: &Tensor, reduce: impl FnOnce(&Window) -> Tensor) -> Tensor {
    match pool.window(x.dims().get(1..).unwrap_or_default()) {
        Ok(window) => reduce(&window),
        Err(_) => x.clone(),
    }
}
