//! Normalization over the features of each sample.

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::layer::Layer;
use super::normalization::{AxisList, Moments, NormAxes, check_epsilon, sizes_of};
use super::parameter::{Init, Parameter};
use super::step::Step;

layer! {
    /// Subtracts each sample's mean, divides by its standard deviation, then applies a learned scale and shift per feature.
    ///
    /// Shapes: x [B, …] to the same; parameters `scale` and `bias` `[num_features]`. Errors, when applied: a different number
    /// of features. Source: Ba et al. 2016, arXiv:1607.06450; `flax.nnx.LayerNorm`.
    ///
    /// ```
    /// use spiq::nn::{Layer, LayerNorm};
    /// let names: Vec<String> = LayerNorm::new(64).parameters().into_iter().map(|p| p.name).collect();
    /// assert_eq!(names, ["scale", "bias"]);
    /// ```
    pub struct LayerNorm = "LayerNorm" {
        needs {
            /// Number of features.
            num_features: usize,
        }
        takes {
            /// Added to the variance to avoid division by zero.
            epsilon: f64 = 1e-6,
            /// Whether a bias is added.
            use_bias: bool = true,
            /// Whether the result is scaled.
            use_scale: bool = true,
            /// The axes over which mean and variance are taken; the batch is axis 0, and negative numbers count from the end.
            reduction_axes: AxisList = AxisList(vec![-1]),
            /// The axes with their own scale and bias, of `num_features` elements together.
            feature_axes: AxisList = AxisList(vec![-1]),
            /// Whether the variance is the mean of squares minus the squared mean: one pass, but less precise.
            use_fast_variance: bool = true,
        }
    }
}

impl LayerNorm {
    /// A layer with flax's defaults.
    pub fn new(num_features: usize) -> LayerNorm {
        LayerNorm::with_defaults(num_features)
    }

    fn axes(&self) -> NormAxes<'_> {
        NormAxes { reduced: &self.reduction_axes, features: &self.feature_axes, num_features: self.num_features }
    }
}

impl Layer for LayerNorm {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_epsilon(self.epsilon)?;
        if !self.use_scale && !self.use_bias && self.feature_axes.0 != [-1] {
            return Err((
                "feature_axes",
                "applies to scale and bias, and the layer has neither; leave it out".to_owned(),
            ));
        }
        Ok(())
    }
    fn parameters(&self) -> Vec<Parameter> {
        let scale = self.use_scale.then(|| Parameter::new("scale", [self.num_features], Init::Ones));
        let bias = self.use_bias.then(|| Parameter::new("bias", [self.num_features], Init::Zeros));
        scale.into_iter().chain(bias).collect()
    }
    fn takes(&self) -> Vec<usize> {
        self.axes().takes()
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        self.axes().output(input)
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let Some((reduced, features)) = self.axes().of_rank(x.rank()) else { return x.clone() };
        let Moments { centred, variance } = Moments::of(x, &reduced, self.use_fast_variance);
        let learnt = |name: &str| at.parameter(name).reshape(&sizes_of(x, &features));
        let factor = (variance + self.epsilon).rsqrt();
        let y = if self.use_scale { centred * (factor * learnt("scale")) } else { centred * factor };
        if self.use_bias { y + learnt("bias") } else { y }
    }
}
