//! The statistics for static scales: their types, and whether they fit every batch size.

use std::collections::BTreeMap;

use spiq_hlo::{Function, TensorType};

use super::{Network, Pass};
use crate::error::{Error, Result};
use crate::quant::Mode;

impl Network {
    /// Types of the statistics for static scales, by path, for inputs of type `x`; empty without such scales. A training step may have some
    /// that predictions do not read: after dropout, spikes are not integers.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn statistics_types(&self, x: &TensorType) -> Result<BTreeMap<String, TensorType>> {
        match self.rules.have_static_scales() {
            true => {
                let step = Pass { training: true, ..Mode::Qat.into() };
                Ok(self.quantized(x, step)?.function.sums().into_iter().collect())
            }
            false => Ok(BTreeMap::new()),
        }
    }
}

/// Refuses statistics whose shape depends on the batch size, since they could not be used for other batches.
pub(super) fn check_sums(function: &Function, of_wider_batch: &Function) -> Result<()> {
    let pairs = function.sums().into_iter().zip(of_wider_batch.sums());
    match pairs.into_iter().find(|((_, ty), (_, wider))| ty != wider) {
        Some(((path, ty), _)) => Err(Error::input(format!(
            "the statistic `{path}` ({ty}) would have a batch axis; name that axis, 0, in act_batch_axes"
        ))),
        None => Ok(()),
    }
}
