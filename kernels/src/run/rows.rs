//! Sums of rows of a matrix. Knows nothing of masks.

/// Element types whose rows are summed, and in what.
pub(super) trait Row: Copy + Send + Sync {
    /// The type of a sum.
    type Sum: Copy + Default + Send;
    /// The type that some rows are summed in.
    type Part: Copy + Default;

    /// How many rows a part holds the sum of.
    const MOST: usize;

    fn add(part: Self::Part, element: Self) -> Self::Part;

    fn add_part(sum: Self::Sum, part: Self::Part) -> Self::Sum;
}

impl Row for i8 {
    type Sum = i32;
    type Part = i16;

    /// Of numbers from -128 to 127 in 16 bits.
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

    /// So that few roundings are of the size of the whole sum.
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
        part + f32::from_bits(u32::from(element) << 16)
    }

    #[inline(always)]
    fn add_part(sum: f32, part: f32) -> f32 {
        sum + part
    }
}

/// Rows of equal length, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a, T> {
    pub(super) elements: &'a [T],
    pub(super) width: usize,
}

impl<T: Row> Matrix<'_, T> {
    /// Adds the rows of a list, one after the other, to a sum of their columns from `from` on.
    #[inline(always)]
    pub(super) fn add_rows(self, sum: &mut [T::Sum], from: usize, list: &[u32]) {
        for list in list.chunks(T::MOST) {
            // A part of so many columns stays in registers for the whole list.
            let done = self.add_columns::<128>(sum, from, list);
            let (sum, from) = (&mut sum[done..], from + done);
            let done = self.add_columns::<16>(sum, from, list);
            self.add_columns::<1>(&mut sum[done..], from + done, list);
        }
    }

    /// As many times `COLUMNS` as there are; returns how many columns that were.
    #[inline(always)]
    fn add_columns<const COLUMNS: usize>(self, sum: &mut [T::Sum], from: usize, list: &[u32]) -> usize {
        let (sums, _) = sum.as_chunks_mut::<COLUMNS>();
        for (at, sum) in sums.iter_mut().enumerate() {
            let first = from + at * COLUMNS;
            let mut part = [T::Part::default(); COLUMNS];
            for row in list {
                let row = self.elements[*row as usize * self.width + first..].first_chunk::<COLUMNS>();
                // A closure or an iterator is not always inlined, and then not compiled for the processor's vectors.
                let Some(row) = row else { continue };
                for i in 0..COLUMNS {
                    part[i] = T::add(part[i], row[i]);
                }
            }
            for i in 0..COLUMNS {
                sum[i] = T::add_part(sum[i], part[i]);
            }
        }
        sums.len() * COLUMNS
    }
}
