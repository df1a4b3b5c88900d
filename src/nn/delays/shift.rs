//! Shifts of sequences along time.

use spiq_hlo::{DType, Tensor, concatenate, scan};

use crate::by_path::Tensors;
use crate::nn::step::Step;

/// The name of the state: the last steps of the input, the latest last, [B, steps, …].
pub(super) const PAST: &str = "past";

/// The input x [T, B, …] preceded by its last `steps` earlier steps and followed by `extra` steps of zeros. Updates the state
/// for the next call.
#[track_caller]
pub(super) fn behind_its_past(at: &mut Step<'_>, x: &Tensor, steps: usize, extra: usize) -> Tensor {
    let past = at.state(PAST);
    if x.is_poison() || past.is_poison() {
        return x.clone();
    }
    let past = past.swap_axes(0, 1);
    let past = if x.dtype() == DType::Pred { past.ne(0.0) } else { past };
    let known = concatenate(&[&past, x], 0);
    let last = known.slice_axis(0, known.dims()[0] - steps, known.dims()[0]).swap_axes(0, 1);
    at.set_state(PAST, last.convert(DType::F32));
    if extra == 0 {
        return known;
    }
    let mut after = known.ty().clone();
    after.dims[0] = extra;
    concatenate(&[&known, &x.graph().zeros(after)], 0)
}

/// Delays clipped to 0 to `most`. A delay at a limit keeps its whole gradient, which can lead back inside; one beyond a limit
/// is set to it, without a gradient.
#[track_caller]
pub(super) fn within_limits(delay: &Tensor, most: usize) -> Tensor {
    let inside = delay.ge(0.0).and(delay.le(most as f64));
    inside.select(delay, &delay.maximum(0.0).minimum(most as f64).stop_gradient())
}

/// `known` [most + T, B, …, C], with each channel delayed by its own whole number of steps, from 0 to `most`: [T, B, …, C].
///
/// A shift by each power of two is applied or not: as many selections as `most` has bits, in the forward and the backward pass,
/// and no gather or scatter, which processors and accelerators do element by element.
#[track_caller]
pub(super) fn shifted(known: &Tensor, steps: &Tensor, most: usize) -> Tensor {
    let Some(highest) = most.checked_ilog2() else { return known.clone() };
    // The largest shift covers what the smaller ones cannot reach.
    let (largest, smaller) = (most - ((1 << highest) - 1), 1 << highest);
    let steps = steps.convert(DType::S32);
    let is_large = steps.ge(f64::from(smaller));
    let mut rest = &steps - is_large.convert(DType::S32) * largest as f64;
    let mut now = later_where(known, &is_large, largest);
    for bit in (0..highest).rev() {
        let by = f64::from(1u32 << bit);
        let is_set = rest.ge(by);
        rest = &rest - is_set.convert(DType::S32) * by;
        now = later_where(&now, &is_set, 1 << bit);
    }
    now
}

/// A sequence without its first `by` steps; where `chosen`, delayed by `by` steps.
fn later_where(sequence: &Tensor, chosen: &Tensor, by: usize) -> Tensor {
    let length = sequence.dims().first().map_or(0, |steps| steps.saturating_sub(by));
    let (later, same) = (sequence.slice_axis(0, 0, length), sequence.slice_axis(0, by, by + length));
    chosen.broadcast_to(later.dims()).select(&later, &same)
}

/// The values of a sequence `known` [most + T, B, C] at lags 0, `apart`, 2 `apart`, … up to `most`, concatenated along the last
/// axis: [T, B, C · (most / apart + 1)].
#[track_caller]
pub(super) fn at_lags(known: &Tensor, most: usize, apart: usize) -> Tensor {
    let length = known.dims()[0] - most;
    let lag = |lag: usize| known.slice_axis(0, most - lag, most - lag + length);
    let lags: Vec<Tensor> = (0..=most).step_by(apart).map(lag).collect();
    concatenate(&lags.iter().collect::<Vec<_>>(), -1)
}

/// The product of a sequence [T, B, K] with a matrix [K, C], plus an optional bias: [T, B, C].
///
/// It is traced one step at a time, since quantization rules take axis 0 of a product as the batch. Nothing is carried between
/// steps, so the steps end up in a single product.
#[track_caller]
pub(super) fn product_of_each_step(inputs: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
    scan(&Tensors::new(), inputs, |none, inputs| (none, product(&inputs, kernel, bias))).1
}

/// The same for one step.
#[track_caller]
pub(super) fn product(inputs: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let y = inputs.dot(kernel);
    match bias {
        Some(bias) => y + bias,
        None => y,
    }
}
