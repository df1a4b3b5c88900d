//! The final stage of every optimizer: weight decay, then the learning rate.

use spiq_hlo::Tensor;

use super::schedule::Schedule;
use super::tree::{map, zip};
use crate::by_path::Tensors;

/// Updates opposite to `direction`, scaled by the learning rate of this step (`count` steps precede it).
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
