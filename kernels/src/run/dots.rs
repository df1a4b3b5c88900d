//! Dot products of rows, several at once.

use crate::vector::InstructionSet;

/// Partial sums of one dot product: a vector register.
const SUMS: usize = 16;

/// Element types whose rows can be multiplied.
pub(super) trait Element: Copy + Default + Send + Sync + PartialEq {
    /// The elements that are multiplied at once.
    type Chunk;
    /// Their number; rows are padded with zeros to a multiple of it.
    const CHUNK: usize;

    /// A row as chunks.
    fn chunks(row: &[Self]) -> &[Self::Chunk];

    /// Adds the products of two chunks to partial sums.
    fn add(set: impl InstructionSet, sums: [f32; SUMS], a: &Self::Chunk, b: &Self::Chunk) -> [f32; SUMS];
}

impl Element for f32 {
    type Chunk = [f32; 16];
    const CHUNK: usize = 16;

    #[inline(always)]
    fn chunks(row: &[f32]) -> &[[f32; 16]] {
        row.as_chunks().0
    }

    #[inline(always)]
    fn add(_: impl InstructionSet, mut sums: [f32; SUMS], a: &[f32; 16], b: &[f32; 16]) -> [f32; SUMS] {
        for i in 0..SUMS {
            sums[i] = a[i].mul_add(b[i], sums[i]);
        }
        sums
    }
}

/// bf16: the upper halves of f32.
impl Element for u16 {
    type Chunk = [u16; 32];
    const CHUNK: usize = 32;

    #[inline(always)]
    fn chunks(row: &[u16]) -> &[[u16; 32]] {
        row.as_chunks().0
    }

    #[inline(always)]
    fn add(set: impl InstructionSet, sums: [f32; SUMS], a: &[u16; 32], b: &[u16; 32]) -> [f32; SUMS] {
        set.add_pairs(sums, a, b)
    }
}

/// The dot products of each left row with each of up to four right rows. Rows have equal lengths. Each product is summed in the same order for any
/// number of rows.
#[inline(always)]
pub(super) fn dots<E: Element, const L: usize, const R: usize>(
    set: impl InstructionSet,
    left: [&[E]; L],
    right: [&[E]; R],
) -> [[f32; R]; L] {
    let (left, right) = (left.map(E::chunks), right.map(E::chunks));
    let count = left[0].len();
    // So that the compiler knows their lengths.
    let (left, right) = (left.map(|row| &row[..count]), right.map(|row| &row[..count]));
    let mut sums = [[[0.0; SUMS]; R]; L];
    for at in 0..count {
        for l in 0..L {
            for r in 0..R {
                sums[l][r] = E::add(set, sums[l][r], &left[l][at], &right[r][at]);
            }
        }
    }
    let mut totals = [[0.0; R]; L];
    for l in 0..L {
        // Four at once are faster than one, even if some are not used.
        let mut four = [[0.0; SUMS]; 4];
        four[..R].copy_from_slice(&sums[l]);
        totals[l].copy_from_slice(&set.totals(four)[..R]);
    }
    totals
}
