//! Ranges averaged over calls (`act_static_scale`): a running mean of an activation's range instead of its current value. Source:
//! `qwix._src.averaging.SimpleMovingAverage`.

use std::collections::BTreeMap;

use spiq_hlo::{Array, Tensor, TensorType, running_sum};

use super::axes::named_axes;
use super::calibration::Range;
use crate::error::{Error, Result};

/// The collection of statistics, beside the parameters. As in qwix.
const COLLECTION: &str = "quant_stats";

/// Whether arrays with this path are statistics.
pub(crate) fn is_statistic(path: &str) -> bool {
    path.split('/').next() == Some(COLLECTION)
}

/// Where an activation's statistics are stored, and the axes they average over.
#[derive(Clone, Debug)]
pub(crate) struct Statistics {
    /// As in qwix's collection: `quant_stats/core/layers/0/dot_general0_lhs`.
    path: String,
    /// Axes of the scale that are averaged within a call.
    batch_axes: Vec<usize>,
}

impl Statistics {
    /// The statistics of the operand with this path and rank.
    ///
    /// # Errors
    /// One sentence about an axis that the operand does not have, or that is named twice. Negative axes count from the end.
    pub(crate) fn new(path: &str, batch_axes: &[i64], rank: usize) -> std::result::Result<Statistics, String> {
        let batch_axes = named_axes("act_batch_axes", batch_axes, rank)?;
        Ok(Statistics { path: format!("{COLLECTION}/{path}"), batch_axes })
    }

    /// The mean of this range and those of earlier calls.
    pub(crate) fn average(&self, range: &Range) -> Range {
        let kept = |x: &Tensor| {
            let dims: Vec<usize> =
                (0..x.rank()).map(|axis| if self.batch_axes.contains(&axis) { 1 } else { x.dims()[axis] }).collect();
            x.reduce_mean(&self.batch_axes).reshape(&dims).stop_gradient()
        };
        match range {
            Range::Symmetric(absmax) => {
                let mean = self.means(&[("sum_of_absmax", &kept(absmax))]).remove(0);
                Range::Symmetric(mean)
            }
            Range::Asymmetric(low, high) => {
                let mut means = self.means(&[("sum_of_max", &kept(high)), ("sum_of_min", &kept(low))]);
                let low = means.remove(1);
                Range::Asymmetric(low, means.remove(0))
            }
        }
    }

    fn means(&self, values: &[(&str, &Tensor)]) -> Vec<Tensor> {
        let (count, sums) = running_sum(values[0].1.graph(), &self.path, values);
        sums.iter().map(|sum| sum / count.convert(sum.dtype())).collect()
    }
}

/// Refuses statistics that were never collected, which cannot give a scale.
///
/// # Errors
/// Of kind `Input`, with the path of the count that is 0.
pub(crate) fn check_counted(arrays: &BTreeMap<String, Array>) -> Result<()> {
    let counts = arrays.iter().filter(|(path, _)| is_statistic(path) && path.ends_with("/count"));
    match counts.into_iter().find(|(_, count)| count.to_f64().first().is_none_or(|count| *count <= 0.0)) {
        Some((path, _)) => Err(Error::input(format!("`{path}` is 0; {ADVICE}"))),
        None => Ok(()),
    }
}

/// The error for a parameter or statistic that a program needs but is not given.
pub(crate) fn missing(path: &str, ty: &TensorType) -> Error {
    match is_statistic(path) {
        true => Error::input(format!("the rules need the statistic `{path}` ({ty}); {ADVICE}")),
        false => Error::input(format!("the network needs the parameter `{path}` ({ty})")),
    }
}

const ADVICE: &str =
    "a static scale comes from statistics: train with act_static_scale, or run spiq quantize --calibrate";
