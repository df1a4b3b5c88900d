//! Sizes of windows that move along an axis, for convolutions and reductions.

/// Elements to add before and after an axis of size `input`, so that a window over it has `input / stride` positions, rounded up
/// (`SAME` in XLA and flax). `window` includes its dilation.
pub fn same_padding(input: usize, window: usize, stride: usize) -> (i64, i64) {
    let covered = (input.div_ceil(stride.max(1)).max(1) - 1) * stride + window;
    let total = covered.saturating_sub(input) as i64;
    (total / 2, total - total / 2)
}

/// The size of an axis whose elements are spaced by `dilation`.
pub(super) fn spread(size: usize, dilation: usize) -> i64 {
    if size == 0 { 0 } else { (size as i64 - 1) * dilation as i64 + 1 }
}

/// A pair per axis, as an attribute.
pub(super) fn pairs(pairs: &[(i64, i64)]) -> String {
    let listed: Vec<String> = pairs.iter().map(|(low, high)| format!("[{low}, {high}]")).collect();
    format!("dense<[{}]> : tensor<{}x2xi64>", listed.join(", "), listed.len())
}
