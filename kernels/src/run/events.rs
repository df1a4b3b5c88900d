//! A mask, or numbers, as lists of the positions that are not 0.

use std::ops::Range;

use super::memory::Read;
use crate::vector::{InstructionSet, unsigned};

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
    pub(super) fn of_rows(set: impl InstructionSet, mask: &Read, columns: usize, rows: Range<usize>) -> Events {
        let mut events = Events { starts: vec![0], lists: Vec::new() };
        for row in rows {
            events.push_row(set, mask, columns, row);
        }
        events
    }

    /// Replaces the contents by the list of one row.
    #[inline(always)]
    pub(super) fn set_row(&mut self, set: impl InstructionSet, mask: &Read, columns: usize, row: usize) {
        self.lists.clear();
        self.starts.clear();
        self.starts.push(0);
        self.push_row(set, mask, columns, row);
    }

    #[inline(always)]
    fn push_row(&mut self, set: impl InstructionSet, mask: &Read, columns: usize, row: usize) {
        list_set(set, mask, row * columns..(row + 1) * columns, &mut self.lists);
        self.starts.push(self.lists.len());
    }

    /// For each column of a mask, those of these rows where it is set, relative to the first of them.
    #[inline(always)]
    pub(super) fn of_columns(set: impl InstructionSet, mask: &Read, columns: usize, rows: Range<usize>) -> Events {
        let by_row = Events::of_rows(set, mask, columns, rows.clone());
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

/// Appends the position of each nonzero element, relative to the start of the range, to a list.
#[inline(always)]
fn list_set(set: impl InstructionSet, mask: &Read, range: Range<usize>, list: &mut Vec<u32>) {
    let bytes = match mask {
        Read::S8(bytes) => unsigned(&bytes[range]),
        Read::Pred(bytes) => &bytes[range],
        Read::F32(numbers) => return list_numbers(set, &numbers[range], list),
        _ => unreachable!("a mask is bytes, or numbers in f32; types were checked before"),
    };
    let (chunks, rest) = bytes.as_chunks::<64>();
    for (at, chunk) in chunks.iter().enumerate() {
        list_marked(set.nonzero(chunk), at * 64, list);
    }
    if !rest.is_empty() {
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        list_marked(set.nonzero(&last), chunks.len() * 64, list);
    }
}

#[inline(always)]
fn list_numbers(set: impl InstructionSet, numbers: &[f32], list: &mut Vec<u32>) {
    let (groups, rest) = numbers.as_chunks::<16>();
    for (at, group) in groups.iter().enumerate() {
        let mut places = [0; 16];
        let count = set.places(group, 16 * at as u32, &mut places);
        list.extend_from_slice(&places[..count]);
    }
    let first = 16 * groups.len();
    list.extend((0..rest.len()).filter(|at| rest[*at] != 0.0).map(|at| (first + at) as u32));
}

/// Appends the position of each set bit, counted from `first`.
#[inline(always)]
fn list_marked(mut marks: u64, first: usize, list: &mut Vec<u32>) {
    while marks != 0 {
        list.push(first as u32 + marks.trailing_zeros());
        marks &= marks - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Compiled;

    /// Nine columns: more than a word, and not a multiple of its size.
    const MASK: [u8; 18] = [0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 255, 0, 0, 128, 0, 0, 0, 0];

    #[test]
    fn rows_and_columns_list_the_same_places() {
        let mask = Read::Pred(&MASK);
        let rows = Events::of_rows(Compiled, &mask, 9, 0..2);
        assert_eq!([rows.list(0), rows.list(1)], [&[1u32, 7, 8][..], &[1, 4]]);
        let columns = Events::of_columns(Compiled, &mask, 9, 0..2);
        let lists: Vec<&[u32]> = (0..9).map(|column| columns.list(column)).collect();
        let none: &[u32] = &[];
        assert_eq!(lists, [none, &[0, 1], none, none, &[1], none, none, &[0], &[0]]);
    }

    #[test]
    fn a_part_counts_from_its_first_row() {
        let signed = MASK.map(|byte| byte as i8);
        let columns = Events::of_columns(Compiled, &Read::S8(&signed), 9, 1..2);
        assert_eq!((columns.list(1), columns.list(7)), (&[0u32][..], &[][..]));
    }
}
