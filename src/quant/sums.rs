//! Sums of products of stored values: when they are possible, their accumulator type, and splitting of sums that could overflow s32.

use std::ops::Range;

use spiq_hlo::{DType, Tensor, Violation};

use super::numerics::Numerics;
use super::qtensor::QTensor;

/// Tiles of a contracted axis smaller than this are dequantized first, as a separate product does not pay off (qwix's threshold).
const SMALLEST_TILE: usize = 128;

/// Whether products can use the stored values, with scales applied to their sums: integers with integers, floats with floats (no unit mixes
/// them), no level indices, and large enough tiles.
pub(crate) fn sums_stored_values(lhs: &QTensor, rhs: &QTensor) -> bool {
    let large =
        |q: &QTensor| q.tiles.is_none_or(|(axis, count)| count == 1 || q.values.dims()[axis] / count >= SMALLEST_TILE);
    let same_kind = lhs.qtype.storage().is_float() == rhs.qtype.storage().is_float();
    let uniform = lhs.qtype.is_uniform() && rhs.qtype.is_uniform();
    let known = !lhs.values.is_poison() && !rhs.values.is_poison();
    known && same_kind && uniform && large(lhs) && large(rhs)
}

/// The type that accumulates products of two stored types.
pub(crate) fn accumulator(lhs: &QTensor, rhs: &QTensor) -> DType {
    match lhs.qtype.storage().is_integer() && rhs.qtype.storage().is_integer() {
        true => DType::S32,
        false => DType::F32,
    }
}

/// The number of products that an s32 sum can hold without overflow. `None` means no limit: the sum is in floats, or qwix lets it wrap.
pub(super) fn most(lhs: &QTensor, rhs: &QTensor, numerics: Numerics) -> Option<usize> {
    if accumulator(lhs, rhs) != DType::S32 || numerics == Numerics::Qwix {
        return None;
    }
    // The zero-point correction is as large as the sum, and is subtracted from it.
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

/// A sum of `count` products per result element, computed by `of_part` over an axis of `size`. If there are more than `most`, parts of the
/// axis are summed in s32, and their sums in s64.
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
            "{}: sums of {count} products of these integers may overflow s32, which is safe for {most}; choose a type with \
             fewer bits for the rule of one side",
            operand.ty()
        );
        return operand.graph().fail("quantize", Violation::new("", message));
    }
    let parts = (0..size).step_by(part).map(|first| of_part(first..size.min(first + part)).convert(DType::S64));
    parts.reduce(|sum, part| sum + part).expect("an axis with more elements than a part")
}
