//! Sums of matrix rows.

use super::memory::widened;
use crate::vector::{InstructionSet, in_order};

/// Columns whose partial sum fits into registers.
const WIDE: usize = 128;

/// Element types whose rows can be summed, and the types of the sums.
pub(super) trait Row: Copy + Send + Sync {
    /// The type of a sum.
    type Sum: Copy + Default + Send;
    /// The type of a partial sum.
    type Part: Copy + Default;

    /// Largest number of rows in a partial sum.
    const MOST: usize;

    fn add(part: Self::Part, element: Self) -> Self::Part;

    fn add_part(sum: Self::Sum, part: Self::Part) -> Self::Sum;

    /// Adds the listed rows of a matrix to a partial sum of their columns starting at `first`.
    #[inline(always)]
    fn add_rows<const COLUMNS: usize>(
        _: impl InstructionSet,
        part: &mut [Self::Part; COLUMNS],
        matrix: Matrix<Self>,
        list: &[u32],
        first: usize,
    ) {
        add_one_by_one(part, matrix, list, first);
    }
}

#[inline(always)]
fn add_one_by_one<T: Row, const COLUMNS: usize>(
    part: &mut [T::Part; COLUMNS],
    matrix: Matrix<T>,
    list: &[u32],
    first: usize,
) {
    for row in list {
        // Closures and iterators are not always inlined, and then not compiled for the target's vector instructions.
        let Some(row) = matrix.columns::<COLUMNS>(*row, first) else { continue };
        for i in 0..COLUMNS {
            part[i] = T::add(part[i], row[i]);
        }
    }
}

impl Row for i8 {
    type Sum = i32;
    type Part = i16;

    /// The sum of 255 values from -128 to 127 fits in 16 bits.
    const MOST: usize = 255;

    #[inline(always)]
    fn add(part: i16, element: i8) -> i16 {
        part + i16::from(element)
    }

    #[inline(always)]
    fn add_part(sum: i32, part: i16) -> i32 {
        sum + i32::from(part)
    }
}

impl Row for f32 {
    type Sum = f32;
    type Part = f32;

    /// Few roundings have the magnitude of the whole sum.
    const MOST: usize = 128;

    #[inline(always)]
    fn add(part: f32, element: f32) -> f32 {
        part + element
    }

    #[inline(always)]
    fn add_part(sum: f32, part: f32) -> f32 {
        sum + part
    }
}

/// The upper halves of f32.
impl Row for u16 {
    type Sum = f32;
    type Part = f32;

    const MOST: usize = <f32 as Row>::MOST;

    #[inline(always)]
    fn add(part: f32, element: u16) -> f32 {
        part + widened(element)
    }

    #[inline(always)]
    fn add_part(sum: f32, part: f32) -> f32 {
        sum + part
    }

    /// Two rows at once where the columns are those of whole registers.
    #[inline(always)]
    fn add_rows<const COLUMNS: usize>(
        set: impl InstructionSet,
        part: &mut [f32; COLUMNS],
        matrix: Matrix<u16>,
        list: &[u32],
        first: usize,
    ) {
        const GROUPS: usize = WIDE / 32;
        let Some(part) = part.first_chunk_mut::<WIDE>() else { return add_one_by_one(part, matrix, list, first) };
        let mut sums = [[[0.0; 16]; 2]; GROUPS];
        let (pairs, last) = list.as_chunks::<2>();
        for [one, two] in pairs {
            let (Some(one), Some(two)) = (matrix.columns::<WIDE>(*one, first), matrix.columns::<WIDE>(*two, first))
            else {
                continue;
            };
            let (one, two) = (one.as_chunks().0, two.as_chunks().0);
            for group in 0..GROUPS {
                set.add_rows(&mut sums[group], &one[group], &two[group]);
            }
        }
        if let [one] = last
            && let Some(one) = matrix.columns::<WIDE>(*one, first)
        {
            let one = one.as_chunks().0;
            for group in 0..GROUPS {
                set.add_rows(&mut sums[group], &one[group], &[0; 32]);
            }
        }
        for (sums, part) in sums.iter().zip(part.as_chunks_mut::<32>().0) {
            *part = in_order(sums);
        }
    }
}

/// A row-major matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a, T> {
    pub(super) elements: &'a [T],
    pub(super) width: usize,
}

impl<'a, T: Row> Matrix<'a, T> {
    /// Some columns of a row.
    #[inline(always)]
    fn columns<const COLUMNS: usize>(self, row: u32, first: usize) -> Option<&'a [T; COLUMNS]> {
        self.elements[row as usize * self.width + first..].first_chunk()
    }

    /// Adds the listed rows in order to a sum of their columns starting at `from`.
    #[inline(always)]
    pub(super) fn add_rows(self, set: impl InstructionSet, sum: &mut [T::Sum], from: usize, list: &[u32]) {
        for list in list.chunks(T::MOST) {
            // A partial sum of this many columns stays in registers for the whole list.
            let done = self.add_columns::<WIDE>(set, sum, from, list);
            let (sum, from) = (&mut sum[done..], from + done);
            let done = self.add_columns::<16>(set, sum, from, list);
            self.add_columns::<1>(set, &mut sum[done..], from + done, list);
        }
    }

    /// Processes as many groups of `COLUMNS` columns as fit; returns the number of columns done.
    #[inline(always)]
    fn add_columns<const COLUMNS: usize>(
        self,
        set: impl InstructionSet,
        sum: &mut [T::Sum],
        from: usize,
        list: &[u32],
    ) -> usize {
        let (sums, _) = sum.as_chunks_mut::<COLUMNS>();
        for (at, sum) in sums.iter_mut().enumerate() {
            let first = from + at * COLUMNS;
            let mut part = [T::Part::default(); COLUMNS];
            T::add_rows(set, &mut part, self, list, first);
            for i in 0..COLUMNS {
                sum[i] = T::add_part(sum[i], part[i]);
            }
        }
        sums.len() * COLUMNS
    }
}
