//! Sequences moved along time.

use spiq_hlo::{DType, Tensor, concatenate, scan};

use crate::by_path::Tensors;
use crate::nn::step::Step;

/// The name of the state: the last steps of the input, the latest one last, [B, steps, …].
pub(super) const PAST: &str = "past";

/// The input x [T, B, …] behind its last `steps` steps of before and in front of `extra` steps of zeros; the state is left as the next
/// call wants it.
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

/// Delays from 0 to `most`. One on a limit has its whole gradient, which leads back from there; one beyond counts as the limit, without
/// a gradient.
#[track_caller]
pub(super) fn within_limits(delay: &Tensor, most: usize) -> Tensor {
    let inside = delay.ge(0.0).and(delay.le(most as f64));
    inside.select(delay, &delay.maximum(0.0).minimum(most as f64).stop_gradient())
}

/// `known` [most + T, B, …, C], each channel later by its own whole number of steps, from 0 to `most`: [T, B, …, C].
///
/// A shift by each power of two is taken or left: as many selections as a number up to `most` has bits, forward and on the way back,
/// and no gather or scatter, which processors and accelerators do element by element.
#[track_caller]
pub(super) fn shifted(known: &Tensor, steps: &Tensor, most: usize) -> Tensor {
    let Some(highest) = most.checked_ilog2() else { return known.clone() };
    // The largest shift is what the smaller ones lack.
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

/// A sequence less its first `by` steps, but where `chosen` by so much later.
fn later_where(sequence: &Tensor, chosen: &Tensor, by: usize) -> Tensor {
    let length = sequence.dims().first().map_or(0, |steps| steps.saturating_sub(by));
    let (later, same) = (sequence.slice_axis(0, 0, length), sequence.slice_axis(0, by, by + length));
    chosen.broadcast_to(later.dims()).select(&later, &same)
}

/// What a sequence `known` [most + T, B, C] was 0, `apart`, 2 `apart`, … up to `most` steps ago, one after the other along the last
/// axis: [T, B, C · (most / apart + 1)].
#[track_caller]
pub(super) fn at_lags(known: &Tensor, most: usize, apart: usize) -> Tensor {
    let length = known.dims()[0] - most;
    let lag = |lag: usize| known.slice_axis(0, most - lag, most - lag + length);
    let lags: Vec<Tensor> = (0..=most).step_by(apart).map(lag).collect();
    concatenate(&lags.iter().collect::<Vec<_>>(), -1)
}

/// The product of a sequence [T, B, K] with a matrix [K, C], and a bias where there is one: [T, B, C].
///
/// It is recorded a step at a time, since to a rule of quantization axis 0 of a product is the batch. Nothing goes from step to step,
/// so that one product of all steps is computed in the end.
#[track_caller]
pub(super) fn product_of_each_step(inputs: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
    scan(&Tensors::new(), inputs, |none, inputs| (none, product(&inputs, kernel, bias))).1
}

/// The same of one step.
#[track_caller]
pub(super) fn product(inputs: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let y = inputs.dot(kernel);
    match bias {
        Some(bias) => y + bias,
        None => y,
    }
}
