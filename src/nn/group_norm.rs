//! Normalization over groups of the features of each sample.

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::dropout::axes_of;
use super::layer::Layer;
use super::normalization::{AxisList, Moments, check_epsilon, once};
use super::parameter::{Init, Parameter};
use super::step::Step;

/// The number of groups if neither it nor their size is given.
const GROUPS: usize = 32;

layer! {
    /// Subtracts the mean of each group of neighbouring features of a sample, divides by its standard deviation, then applies a
    /// learned scale and shift per feature.
    ///
    /// Mean and variance of a group are taken over all axes of a sample, or over `reduction_axes`. If these omit an axis of an
    /// image, each position along it has its own mean; flax then repeats the means along the wrong axis and mixes up positions.
    ///
    /// Shapes: x [B, …, num_features] to the same; parameters `scale` and `bias` `[num_features]`. Errors, when applied: a
    /// different number of features. Source: Wu and He 2018, arXiv:1803.08494; `flax.nnx.GroupNorm`.
    ///
    /// ```
    /// use spiq::nn::{GroupNorm, Layer};
    /// let layer = GroupNorm { num_groups: Some(4), ..GroupNorm::new(64) };
    /// assert_eq!(layer.output(&[28, 28, 64]), Ok(vec![28, 28, 64]));
    /// ```
    pub struct GroupNorm = "GroupNorm" {
        needs {
            /// Number of features.
            num_features: usize,
        }
        takes {
            /// Number of groups; 32 if `group_size` is not given either.
            num_groups: Option<usize> = None,
            /// Number of features per group, instead of the number of groups.
            group_size: Option<usize> = None,
            /// Added to the variance to avoid division by zero.
            epsilon: f64 = 1e-6,
            /// Whether a bias is added.
            use_bias: bool = true,
            /// Whether the result is scaled.
            use_scale: bool = true,
            /// The axes over which mean and variance are taken; the batch is axis 0, and negative numbers count from the end.
            /// Must end with the feature axis, the last one. By default all axes of a sample.
            reduction_axes: Option<AxisList> = None,
            /// Whether the variance is the mean of squares minus the squared mean: one pass, but less precise.
            use_fast_variance: bool = true,
        }
    }
}

impl GroupNorm {
    /// A layer with flax's defaults: 32 groups.
    pub fn new(num_features: usize) -> GroupNorm {
        GroupNorm::with_defaults(num_features)
    }

    /// The number of groups, which have the same number of features each.
    fn groups(&self) -> Result<usize, (&'static str, String)> {
        let features = self.num_features;
        let (name, parts) = match (self.num_groups, self.group_size) {
            (Some(_), Some(_)) => {
                return Err((
                    "group_size",
                    "is given together with num_groups, which determines it; leave one out".to_owned(),
                ));
            }
            (None, Some(size)) => ("group_size", size),
            (groups, None) => ("num_groups", groups.unwrap_or(GROUPS)),
        };
        if parts == 0 || !features.is_multiple_of(parts) {
            return Err((name, format!("is {parts}, but must divide num_features ({features})")));
        }
        Ok(if name == "group_size" { features / parts } else { parts })
    }

    /// The axes to reduce besides the features, for a batch of this rank; `None` if they are invalid.
    fn axes(&self, rank: usize) -> Option<Vec<usize>> {
        let Some(AxisList(list)) = &self.reduction_axes else { return Some((1..rank.checked_sub(1)?).collect()) };
        let axes = axes_of(list, rank)?;
        let (&last, others) = axes.split_last()?;
        (last + 1 == rank && once(&axes) && !axes.contains(&0)).then(|| others.to_vec())
    }
}

impl Layer for GroupNorm {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        check_epsilon(self.epsilon)?;
        self.groups().map(drop)
    }
    fn parameters(&self) -> Vec<Parameter> {
        let scale = self.use_scale.then(|| Parameter::new("scale", [self.num_features], Init::Ones));
        let bias = self.use_bias.then(|| Parameter::new("bias", [self.num_features], Init::Zeros));
        scale.into_iter().chain(bias).collect()
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.num_features]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match input.last() {
            Some(&last) if last == self.num_features || last == 0 => {}
            _ => return Err(format!("takes {} features", self.num_features)),
        }
        match self.axes(input.len() + 1) {
            Some(_) => Ok(input.to_vec()),
            None => {
                let axes = self.reduction_axes.as_ref().map_or(&[][..], |list| &list.0);
                Err(format!("takes samples that have the axes {axes:?}: each once, without the batch, features last"))
            }
        }
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let (Some(axes), Ok(groups)) = (self.axes(x.rank()), self.groups()) else { return x.clone() };
        let size = self.num_features / groups;
        let places = &x.dims()[..x.rank() - 1];
        // Splits the feature axis into groups, which adds an axis.
        let grouped = x.reshape(&[places, &[groups, size]].concat());
        let reduced = [axes, vec![x.rank()]].concat();
        let Moments { centred, variance } = Moments::of(&grouped, &reduced, self.use_fast_variance);
        let learnt = |name: &str| at.parameter(name).reshape(&[vec![1; places.len()], vec![groups, size]].concat());
        let factor = (variance + self.epsilon).rsqrt();
        let y = if self.use_scale { centred * (factor * learnt("scale")) } else { centred * factor };
        let y = if self.use_bias { y + learnt("bias") } else { y };
        y.reshape(x.dims())
    }
}
