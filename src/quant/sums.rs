//! Sums of products of stored values: where there are such, in which type, how many of them s32 holds, and sums of more in parts.
//! Knows neither dot products nor convolutions.

use std::ops::Range;

use spiq_hlo::{DType, Tensor, Violation};

use super::numerics::Numerics;
use super::qtensor::QTensor;

/// A tile of a contracted axis below this is not worth a product of its own: dequantize first (qwix's threshold).
const SMALLEST_TILE: usize = 128;

/// Whether products can be formed from the stored values, and scales applied to their sums: integers with integers, floats
/// with floats (no unit multiplies one with the other), not the numbers of levels, tiles that are large enough.
pub(crate) fn sums_stored_values(lhs: &QTensor, rhs: &QTensor) -> bool {
    let large =
        |q: &QTensor| q.tiles.is_none_or(|(axis, count)| count == 1 || q.values.dims()[axis] / count >= SMALLEST_TILE);
    let same_kind = lhs.qtype.storage().is_float() == rhs.qtype.storage().is_float();
    let uniform = lhs.qtype.is_uniform() && rhs.qtype.is_uniform();
    let known = !lhs.values.is_poison() && !rhs.values.is_poison();
    known && same_kind && uniform && large(lhs) && large(rhs)
}

/// The type in which products of two stored types are summed.
pub(crate) fn accumulator(lhs: &QTensor, rhs: &QTensor) -> DType {
    match lhs.qtype.storage().is_integer() && rhs.qtype.storage().is_integer() {
        true => DType::S32,
        false => DType::F32,
    }
}

/// How many products of two sides a sum in s32 holds for certain. `None`: as many as there are, since they are summed as floats,
/// or since qwix lets such sums wrap.
pub(super) fn most(lhs: &QTensor, rhs: &QTensor, numerics: Numerics) -> Option<usize> {
    if accumulator(lhs, rhs) != DType::S32 || numerics == Numerics::Qwix {
        return None;
    }
    // The share of a zero point is as large as the sum, and is taken from it.
    let sums = if lhs.zero_point.is_some() || rhs.zero_point.is_some() { 2 } else { 1 };
    let largest = [lhs, rhs].map(|side| magnitude(side).max(1));
    Some((i32::MAX as usize) / (largest[0] * largest[1] * sums))
}

/// The largest magnitude of a stored integer.
fn magnitude(side: &QTensor) -> usize {
    let (low, high) = side.qtype.range();
    let of_type = low.abs().max(high.abs()) as usize;
    let proven = side.values.range().and_then(|range| range.magnitudes()).map_or(of_type, |range| range.high as usize);
    proven.min(of_type)
}

/// A sum of `count` products for each element of the result, that of `of_part` over all of an axis of `size`. Where there are
/// more than `most`, parts of the axis are summed in s32 and those sums in s64.
pub(super) fn in_parts(
    operand: &Tensor,
    most: Option<usize>,
    count: usize,
    size: usize,
    of_part: impl Fn(Range<usize>) -> Tensor,
) -> Tensor {
    let Some(most) = most.filter(|most| count > *most) else { return of_part(0..size) };
    let part = most / (count / size.max(1)).max(1);
    if part == 0 {
        let message = format!(
            "{}: sums of {count} products of these integers may leave s32, which holds {most} for certain; choose a type of \
             fewer bits for the rule of one side",
            operand.ty()
        );
        return operand.graph().fail("quantize", Violation::new("", message));
    }
    let parts = (0..size).step_by(part).map(|first| of_part(first..size.min(first + part)).convert(DType::S64));
    parts.reduce(|sum, part| sum + part).expect("an axis with more elements than a part")
}
