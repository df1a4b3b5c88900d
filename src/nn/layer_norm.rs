//! Normalization over the features of each sample. Knows nothing of time and neurons.

use spiq_hlo::Tensor;
use toml::Value;
use toml::de::DeValue;

use super::arguments::{Argument, described, layer};
use super::dropout::axes_of;
use super::layer::Layer;
use super::parameter::{Init, Parameter};
use super::step::Step;
use crate::fields::Field;

layer! {
    /// Each sample less its mean, divided by its deviation, then scaled and shifted by learnt numbers for each feature.
    ///
    /// Shapes: x [B, …] to the same; parameters `scale` and `bias` `[num_features]`. Errors, where the layer is used: features
    /// of another number. Source: Ba et al. 2016, arXiv:1607.06450; `flax.nnx.LayerNorm`.
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
            /// What is added to the variance, against division by zero.
            epsilon: f64 = 1e-6,
            /// Whether a bias is added.
            use_bias: bool = true,
            /// Whether the result is scaled.
            use_scale: bool = true,
            /// The axes over which mean and variance are taken, the batch being axis 0; from the end if negative.
            reduction_axes: AxisList = AxisList(vec![-1]),
            /// The axes with a scale and a bias of their own; as many elements as there are features.
            feature_axes: AxisList = AxisList(vec![-1]),
            /// Whether the variance is that of squares less the squared mean: one pass, but with less precision.
            use_fast_variance: bool = true,
        }
    }
}

/// One axis or several; in a file a number or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisList(pub Vec<i64>);

impl Field for AxisList {
    const WHAT: &'static str = "the number of an axis or a list of them";
    fn read(value: &DeValue<'_>) -> Option<AxisList> {
        i64::read(value).map(|axis| vec![axis]).or_else(|| Vec::read(value)).map(AxisList)
    }
}

impl Argument for AxisList {
    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

impl LayerNorm {
    /// A layer with flax's defaults.
    pub fn new(num_features: usize) -> LayerNorm {
        LayerNorm::with_defaults(num_features)
    }

    /// The axes to reduce and those of the features in a batch of this rank; `None` when they are no axes of it.
    fn axes(&self, rank: usize) -> Option<(Vec<usize>, Vec<usize>)> {
        let axes = (axes_of(&self.reduction_axes.0, rank)?, axes_of(&self.feature_axes.0, rank)?);
        let once = |axes: &[usize]| axes.iter().enumerate().all(|(i, axis)| !axes[..i].contains(axis));
        let of_samples = !axes.0.contains(&0) && !axes.1.contains(&0);
        (of_samples && once(&axes.0) && once(&axes.1) && axes.1.is_sorted()).then_some(axes)
    }
}

impl Layer for LayerNorm {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.epsilon < 0.0 {
            return Err(("epsilon", format!("is {}, but must be 0 or more", self.epsilon)));
        }
        if !self.use_scale && !self.use_bias && self.feature_axes.0 != [-1] {
            return Err(("feature_axes", "is of scale and bias, and the layer has neither; leave it out".to_owned()));
        }
        Ok(())
    }
    fn parameters(&self) -> Vec<Parameter> {
        let scale = self.use_scale.then(|| Parameter::new("scale", [self.num_features], Init::Ones));
        let bias = self.use_bias.then(|| Parameter::new("bias", [self.num_features], Init::Zeros));
        scale.into_iter().chain(bias).collect()
    }
    fn takes(&self) -> Vec<usize> {
        if self.feature_axes.0 == [-1] { vec![self.num_features] } else { Vec::new() }
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let Some((_, features)) = self.axes(input.len() + 1) else {
            let (reduced, features) = (&self.reduction_axes.0, &self.feature_axes.0);
            return Err(format!(
                "takes samples with the axes {reduced:?} and, in this order, {features:?}, each once, not the batch"
            ));
        };
        let sizes: Vec<usize> = features.iter().map(|axis| input[axis - 1]).collect();
        let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        match count == Some(self.num_features) || count == Some(0) {
            true => Ok(input.to_vec()),
            false => Err(format!("takes {} features", self.num_features)),
        }
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let Some((reduced, features)) = self.axes(x.rank()) else { return x.clone() };
        let kept = |axes: &[usize]| -> Vec<usize> {
            x.dims().iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size }).collect()
        };
        let mean_of = |t: &Tensor| t.reduce_mean(&reduced).reshape(&kept(&reduced));
        let mean = mean_of(x);
        let centred = x - &mean;
        let variance = match self.use_fast_variance {
            true => (mean_of(&(x * x)) - &mean * &mean).maximum(0.0),
            false => mean_of(&(&centred * &centred)),
        };
        let others: Vec<usize> = (0..x.rank()).filter(|axis| !features.contains(axis)).collect();
        let learnt = |name: &str| at.parameter(name).reshape(&kept(&others));
        let factor = (variance + self.epsilon).rsqrt();
        let y = if self.use_scale { centred * (factor * learnt("scale")) } else { centred * factor };
        if self.use_bias { y + learnt("bias") } else { y }
    }
}
