//! Sums of rows of a matrix. Knows nothing of spikes.

use std::ops::AddAssign;

/// Element types whose rows are summed, and in what.
pub(super) trait Row: Copy + Send + Sync {
    /// The type of a sum.
    type Sum: Copy + Default + Send;

    /// Adds rows to `sum`: for each of `list`, the elements of that row from column `first` on;
    /// at most [`TILE`] of them.
    fn add(sum: &mut [Self::Sum], matrix: Matrix<Self>, first: usize, list: &[u32]);
}

/// Rows of equal length, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a, T> {
    pub(super) elements: &'a [T],
    pub(super) width: usize,
}

/// Columns that are summed at a time.
pub(super) const TILE: usize = 256;

impl Row for i8 {
    type Sum = i32;

    #[inline(always)]
    fn add(sum: &mut [i32], matrix: Matrix<i8>, first: usize, list: &[u32]) {
        /// As many numbers from -128 to 127 as 16 bits hold the sum of.
        const SHORT: usize = 255;
        for list in list.chunks(SHORT) {
            let mut short = [0i16; TILE];
            let short = &mut short[..sum.len()];
            add_all(short, matrix, first, list, i16::from);
            sum.iter_mut().zip(short).for_each(|(sum, short)| *sum += i32::from(*short));
        }
    }
}

impl Row for f32 {
    type Sum = f32;

    #[inline(always)]
    fn add(sum: &mut [f32], matrix: Matrix<f32>, first: usize, list: &[u32]) {
        add_floats(sum, matrix, first, list, |x| x);
    }
}

/// The upper halves of f32.
impl Row for u16 {
    type Sum = f32;

    #[inline(always)]
    fn add(sum: &mut [f32], matrix: Matrix<u16>, first: usize, list: &[u32]) {
        add_floats(sum, matrix, first, list, |x| f32::from_bits(u32::from(x) << 16));
    }
}

/// Adds the sum of a list at once, so that few roundings are of the size of the whole.
#[inline(always)]
fn add_floats<T: Copy>(
    sum: &mut [f32],
    matrix: Matrix<T>,
    first: usize,
    list: &[u32],
    widen: impl Fn(T) -> f32 + Copy,
) {
    let mut part = [0f32; TILE];
    let part = &mut part[..sum.len()];
    add_all(part, matrix, first, list, widen);
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += *part);
}

/// Eight rows at a time, so that a sum is read and written once for eight additions.
#[inline(always)]
fn add_all<T: Copy, S: Copy + AddAssign>(
    sum: &mut [S],
    matrix: Matrix<T>,
    first: usize,
    list: &[u32],
    widen: impl Fn(T) -> S + Copy,
) {
    let count = sum.len();
    let row = |row: u32| &matrix.elements[row as usize * matrix.width + first..][..count];
    let (eights, rest) = list.as_chunks::<8>();
    let (fours, rest) = rest.as_chunks::<4>();
    let (twos, rest) = rest.as_chunks::<2>();
    let (ones, _) = rest.as_chunks::<1>();
    for list in eights {
        add_rows(sum, list.map(row), widen);
    }
    for list in fours {
        add_rows(sum, list.map(row), widen);
    }
    for list in twos {
        add_rows(sum, list.map(row), widen);
    }
    for list in ones {
        add_rows(sum, list.map(row), widen);
    }
}

#[inline(always)]
fn add_rows<const N: usize, T: Copy, S: Copy + AddAssign>(
    sum: &mut [S],
    rows: [&[T]; N],
    widen: impl Fn(T) -> S,
) {
    let rows = rows.map(|row| &row[..sum.len()]);
    for (i, sum) in sum.iter_mut().enumerate() {
        let mut part = widen(rows[0][i]);
        for row in &rows[1..] {
            part += widen(row[i]);
        }
        *sum += part;
    }
}
