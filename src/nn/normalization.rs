//! Shared parts of the normalization layers: reduced axes, feature axes, mean and variance.

use spiq_hlo::Tensor;
use toml::Value;
use toml::de::DeValue;

use super::arguments::Argument;
use super::dropout::axes_of;
use crate::fields::Field;

/// One axis or several; in a file a number or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisList(pub Vec<i64>);

impl Field for AxisList {
    const WHAT: &'static str = "an axis number or a list of axis numbers";
    const KIND: &'static str = "axes";
    fn read(value: &DeValue<'_>) -> Option<AxisList> {
        i64::read(value).map(|axis| vec![axis]).or_else(|| Vec::read(value)).map(AxisList)
    }
}

impl Argument for AxisList {
    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

/// The axes of a normalization layer, as its arguments give them; the batch is axis 0.
pub(super) struct NormAxes<'a> {
    pub reduced: &'a AxisList,
    pub features: &'a AxisList,
    pub num_features: usize,
}

impl NormAxes<'_> {
    /// The reduced axes and the feature axes for a batch of this rank; `None` if they are invalid.
    pub fn of_rank(&self, rank: usize) -> Option<(Vec<usize>, Vec<usize>)> {
        let axes = (axes_of(&self.reduced.0, rank)?, axes_of(&self.features.0, rank)?);
        let of_samples = !axes.0.contains(&0) && !axes.1.contains(&0);
        (of_samples && once(&axes.0) && once(&axes.1) && axes.1.is_sorted()).then_some(axes)
    }

    /// The trailing axes of a sample, as far as the arguments determine them.
    pub fn takes(&self) -> Vec<usize> {
        if self.features.0 == [-1] { vec![self.num_features] } else { Vec::new() }
    }

    /// The shape of one sample's output: that of its input.
    pub fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let Some((_, features)) = self.of_rank(input.len() + 1) else {
            let (reduced, features) = (&self.reduced.0, &self.features.0);
            return Err(format!(
                "takes samples that have the axes {reduced:?} and, in this order, {features:?}: each once, without the batch"
            ));
        };
        let sizes: Vec<usize> = features.iter().map(|axis| input[axis - 1]).collect();
        let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        match count == Some(self.num_features) || count == Some(0) {
            true => Ok(input.to_vec()),
            false => Err(format!("takes {} features", self.num_features)),
        }
    }
}

/// Whether no axis appears twice.
pub(super) fn once(axes: &[usize]) -> bool {
    axes.iter().enumerate().all(|(i, axis)| !axes[..i].contains(axis))
}

/// Checks that `epsilon` can be added to a variance.
pub(super) fn check_epsilon(epsilon: f64) -> Result<(), (&'static str, String)> {
    match epsilon < 0.0 {
        true => Err(("epsilon", format!("is {epsilon}, but must be 0 or more"))),
        false => Ok(()),
    }
}

/// The sizes of a tensor along these axes and 1 along the others: the shape in which parameters of these axes broadcast against
/// it.
pub(super) fn sizes_of(x: &Tensor, axes: &[usize]) -> Vec<usize> {
    x.dims().iter().enumerate().map(|(axis, &size)| if axes.contains(&axis) { size } else { 1 }).collect()
}

/// The mean over these axes, which are kept with size 1.
#[track_caller]
pub(super) fn mean_over(x: &Tensor, axes: &[usize]) -> Tensor {
    let others: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
    x.reduce_mean(axes).reshape(&sizes_of(x, &others))
}

/// The centred elements and their variance.
pub(super) struct Moments {
    pub centred: Tensor,
    pub variance: Tensor,
}

impl Moments {
    /// Moments over these axes. `fast` takes the mean of squares minus the squared mean: one pass, but less precise.
    #[track_caller]
    pub fn of(x: &Tensor, axes: &[usize], fast: bool) -> Moments {
        let mean = mean_over(x, axes);
        let centred = x - &mean;
        let variance = match fast {
            true => (mean_over(&(x * x), axes) - &mean * &mean).maximum(0.0),
            false => mean_over(&(&centred * &centred), axes),
        };
        Moments { centred, variance }
    }
}
