//! A mask as lists of the positions where it is set.

use std::ops::Range;

use super::memory::Read;

/// For each row of a result, the rows of a matrix to sum, in ascending order.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The start of each list, and the end of the last one.
    starts: Vec<usize>,
    lists: Vec<u32>,
}

impl Events {
    /// For each of these rows of a mask, the columns where it is set.
    #[inline(always)]
    pub(super) fn of_rows(mask: &Read, columns: usize, rows: Range<usize>) -> Events {
        let mut events = Events { starts: vec![0], lists: Vec::new() };
        for row in rows {
            events.push_row(mask, columns, row);
        }
        events
    }

    /// Replaces the contents by the list of one row.
    #[inline(always)]
    pub(super) fn set_row(&mut self, mask: &Read, columns: usize, row: usize) {
        self.lists.clear();
        self.starts.clear();
        self.starts.push(0);
        self.push_row(mask, columns, row);
    }

    #[inline(always)]
    fn push_row(&mut self, mask: &Read, columns: usize, row: usize) {
        each_set(mask, row * columns..(row + 1) * columns, |column| self.lists.push(column as u32));
        self.starts.push(self.lists.len());
    }

    /// For each column of a mask, those of these rows where it is set, relative to the first of them.
    #[inline(always)]
    pub(super) fn of_columns(mask: &Read, columns: usize, rows: Range<usize>) -> Events {
        let by_row = Events::of_rows(mask, columns, rows.clone());
        let mut starts = vec![0; columns + 1];
        for column in &by_row.lists {
            starts[*column as usize + 1] += 1;
        }
        for column in 0..columns {
            starts[column + 1] += starts[column];
        }
        let (mut ends, mut lists) = (starts.clone(), vec![0; by_row.lists.len()]);
        for row in 0..rows.len() {
            for &column in by_row.list(row) {
                let end = &mut ends[column as usize];
                lists[*end] = row as u32;
                *end += 1;
            }
        }
        Events { starts, lists }
    }

    /// Total number of set elements.
    pub(super) fn count(&self) -> usize {
        self.lists.len()
    }

    #[inline(always)]
    pub(super) fn list(&self, row: usize) -> &[u32] {
        &self.lists[self.starts[row]..self.starts[row + 1]]
    }
}

/// Calls `found` with the position of each nonzero byte, relative to the start of the range.
#[inline(always)]
fn each_set(mask: &Read, range: Range<usize>, found: impl FnMut(usize)) {
    match mask {
        Read::S8(bytes) => each_nonzero(&bytes[range], |byte| byte as u8, found),
        Read::Pred(bytes) => each_nonzero(&bytes[range], |byte| byte, found),
        _ => unreachable!("a mask is bytes; types were checked before"),
    }
}

#[inline(always)]
fn each_nonzero<T: Copy>(bytes: &[T], byte: impl Fn(T) -> u8 + Copy, mut found: impl FnMut(usize)) {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(word) {
            *to = byte(*from);
        }
        let word = u64::from_le_bytes(bytes);
        // The high bit of each nonzero byte.
        let mut marks = (((word & LOW) + LOW) | word) & !LOW;
        while marks != 0 {
            found(at * 8 + marks.trailing_zeros() as usize / 8);
            marks &= marks - 1;
        }
    }
    for (at, last) in rest.iter().enumerate() {
        if byte(*last) != 0 {
            found(words.len() * 8 + at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine columns: more than a word, and not a multiple of its size.
    const MASK: [u8; 18] = [0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 255, 0, 0, 128, 0, 0, 0, 0];

    #[test]
    fn rows_and_columns_list_the_same_places() {
        let mask = Read::Pred(&MASK);
        let rows = Events::of_rows(&mask, 9, 0..2);
        assert_eq!([rows.list(0), rows.list(1)], [&[1u32, 7, 8][..], &[1, 4]]);
        let columns = Events::of_columns(&mask, 9, 0..2);
        let lists: Vec<&[u32]> = (0..9).map(|column| columns.list(column)).collect();
        let none: &[u32] = &[];
        assert_eq!(lists, [none, &[0, 1], none, none, &[1], none, none, &[0], &[0]]);
    }

    #[test]
    fn a_part_counts_from_its_first_row() {
        let signed = MASK.map(|byte| byte as i8);
        let columns = Events::of_columns(&Read::S8(&signed), 9, 1..2);
        assert_eq!((columns.list(1), columns.list(7)), (&[0u32][..], &[][..]));
    }
}
