//! Sums of matrix rows.

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
        part + f32::from_bits(u32::from(element) << 16)
    }

    #[inline(always)]
    fn add_part(sum: f32, part: f32) -> f32 {
        sum + part
    }
}

/// A row-major matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a, T> {
    pub(super) elements: &'a [T],
    pub(super) width: usize,
}

impl<T: Row> Matrix<'_, T> {
    /// Adds the listed rows in order to a sum of their columns starting at `from`.
    #[inline(always)]
    pub(super) fn add_rows(self, sum: &mut [T::Sum], from: usize, list: &[u32]) {
        for list in list.chunks(T::MOST) {
            // A partial sum of this many columns stays in registers for the whole list.
            let done = self.add_columns::<128>(sum, from, list);
            let (sum, from) = (&mut sum[done..], from + done);
            let done = self.add_columns::<16>(sum, from, list);
            self.add_columns::<1>(&mut sum[done..], from + done, list);
        }
    }

    /// Processes as many groups of `COLUMNS` columns as fit; returns the number of columns done.
    #[inline(always)]
    fn add_columns<const COLUMNS: usize>(self, sum: &mut [T::Sum], from: usize, list: &[u32]) -> usize {
        let (sums, _) = sum.as_chunks_mut::<COLUMNS>();
        for (at, sum) in sums.iter_mut().enumerate() {
            let first = from + at * COLUMNS;
            let mut part = [T::Part::default(); COLUMNS];
            for row in list {
                let row = self.elements[*row as usize * self.width + first..].first_chunk::<COLUMNS>();
                // Closures and iterators are not always inlined, and then not compiled for the target's vector instructions.
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
