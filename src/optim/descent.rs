//! The end that optimizers share: weight decay, then the learning rate. Knows nothing of how a direction was found.

use spiq_hlo::Tensor;

use super::schedule::Schedule;
use super::tree::{map, zip};
use crate::by_path::Tensors;

/// Updates that go against `direction`, at the rate of this step (`count` steps were made before).
///
/// Source: `optax.add_decayed_weights`, `optax.scale_by_learning_rate`.
#[track_caller]
pub(super) fn descend(
    op: &str,
    direction: &Tensors,
    params: &Tensors,
    weight_decay: f64,
    learning_rate: &Schedule,
    count: &Tensor,
) -> Tensors {
    let decayed = match weight_decay {
        0.0 => direction.clone(),
        _ => zip(op, direction, params, "", |d, p| d + weight_decay * p),
    };
    let rate = -learning_rate.at(count);
    map(&decayed, |d| rate.convert(d.dtype()) * d)
}
