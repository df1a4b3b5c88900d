//! Root-mean-square normalization over the features of each sample.

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::layer::Layer;
use super::normalization::{AxisList, NormAxes, check_epsilon, mean_over, sizes_of};
use super::parameter::{Init, Parameter};
use super::step::Step;

layer! {
    /// Divides each sample by its root mean square, then applies a learned scale per feature.
    ///
    /// flax's `use_fast_variance` is not an argument: without a mean there is only one way to compute the mean square.
    ///
    /// Shapes: x [B, …] to the same; parameter `scale` `[num_features]`. Errors, when applied: a different number of features.
    /// Source: Zhang and Sennrich 2019, arXiv:1910.07467; `flax.nnx.RMSNorm`.
    ///
    /// ```
    /// use spiq::nn::{Layer, RmsNorm};
    /// let names: Vec<String> = RmsNorm::new(64).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["scale"]);
    /// ```
    pub struct RmsNorm = "RMSNorm" {
        needs {
            /// Number of features.
            num_features: usize,
        }
        takes {
            /// Added to the mean square to avoid division by zero.
            epsilon: f64 = 1e-6,
            /// Whether the result is scaled.
            use_scale: bool = true,
            /// The axes over which the mean is taken; the batch is axis 0, and negative numbers count from the end.
            reduction_axes: AxisList = AxisList(vec![-1]),
            /// The axes with their own scale, of `num_features` elements together.
            feature_axes: AxisList = AxisList(vec![-1]),
        }
    }
}

impl RmsNorm {
    /// A layer with flax's defaults.
    pub fn new(num_features: usize) -> RmsNorm {
        RmsNorm::with_defaults(num_features)
    }

    fn axes(&self) -> NormAxes<'_> {
        NormAxes { reduced: &self.reduction_axes, features: &self.feature_axes, num_features: self.num_features }
    }
}

impl Layer for RmsNorm {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_epsilon(self.epsilon)?;
        match !self.use_scale && self.feature_axes.0 != [-1] {
            true => Err(("feature_axes", "applies to the scale, and the layer has none; leave it out".to_owned())),
            false => Ok(()),
        }
    }
    fn parameters(&self) -> Vec<Parameter> {
        self.use_scale.then(|| Parameter::new("scale", [self.num_features], Init::Ones)).into_iter().collect()
    }
    fn takes(&self) -> Vec<usize> {
        self.axes().takes()
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        self.axes().output(input)
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let Some((reduced, features)) = self.axes().of_rank(x.rank()) else { return x.clone() };
        let factor = (mean_over(&(x * x), &reduced) + self.epsilon).rsqrt();
        match self.use_scale {
            true => x * (factor * at.parameter("scale").reshape(&sizes_of(x, &features))),
            false => x * factor,
        }
    }
}
