//! Checks which inputs fit a model and are small enough to compute.

use spiq_hlo::TensorType;

use super::Network;
use crate::data::TEST_GROUP;
use crate::error::{Error, Result};
use crate::fields::LARGEST;

/// Elements of the largest array of a test that does not process a whole group at once: a gigabyte.
const LARGEST_PART: usize = 1 << 28;

impl Network {
    /// The shape in which a sample with these axes enters the model: its own, or that of an image with one channel if the channel axis is
    /// missing ([H, W] or, for a square image, [H W]).
    ///
    /// # Errors
    /// Of kind `Input`: a sample that does not fit the model.
    pub fn sample_shape(&self, features: &[usize]) -> Result<Vec<usize>> {
        let refused = match self.model.shapes(features) {
            Ok(_) => return Ok(features.to_vec()),
            Err(misfit) => misfit,
        };
        let side = features.iter().product::<usize>().isqrt();
        let image = match *features {
            [count] if side * side == count => vec![side, side, 1],
            [height, width] => vec![height, width, 1],
            _ => Vec::new(),
        };
        let (also, refused) = match self.model.shapes(&image) {
            Ok(_) => return Ok(image),
            // An image gets farther: its misfit is the one to correct.
            Err(misfit) if misfit.place > refused.place => (format!(", also not as an image {image:?}"), misfit),
            Err(_) => (String::new(), refused),
        };
        Err(Error::input(format!(
            "a sample of the data has the shape {features:?}, which the model does not take{also}: {}/{}",
            self.config.name,
            self.model.described(&refused)
        )))
    }

    /// How many of `count` samples a test processes at once: a whole group of samples drawn together, or part of one if that is too large.
    /// `x` returns the input's type for a number of samples.
    pub(crate) fn test_group(&self, x: impl Fn(usize) -> TensorType, count: usize) -> usize {
        let whole = TEST_GROUP.min(count);
        if self.check_sizes(&x(whole)).is_ok() {
            return whole;
        }
        let mut halves = std::iter::successors(Some(whole), |size| (*size > 1).then(|| size.div_ceil(2)));
        halves.find(|size| *size == 1 || self.are_within(&x(*size), LARGEST_PART).is_ok()).unwrap_or(1)
    }

    /// Checks that neither the input nor a layer's output is too large.
    pub(super) fn check_sizes(&self, x: &TensorType) -> Result<()> {
        self.are_within(x, LARGEST)
    }

    fn are_within(&self, x: &TensorType, most: usize) -> Result<()> {
        let count = |dims: &[usize]| dims.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let usable = |dims: &[usize]| count(dims).is_some_and(|count| (1..=most).contains(&count));
        if !usable(&x.dims) {
            let why =
                if x.dims.contains(&0) { "is empty" } else { "is too large; take fewer time steps or a smaller batch" };
            return Err(Error::input(format!("an input {x} (time, batch, features) {why}")));
        }
        let (outer, sample) = x.dims.split_at(x.rank().min(2));
        // Mismatched shapes are reported by the trace.
        let after = self.model.shapes(sample).unwrap_or_default();
        match after.iter().position(|shape| !usable(&[outer, shape].concat())) {
            Some(layer) => Err(Error::input(format!(
                "the output of {}/layers/{layer} for an input {x} (time, batch, features) is too large",
                self.config.name
            ))),
            None => Ok(()),
        }
    }
}
