//! Masked products, divided into independent parts.

use std::ops::Range;

use crate::contract::masked_product::MaskedProduct;

use super::events::Events;
use super::memory::Read;
use super::rows::{Matrix, Row};
use super::{Pool, run_parts};
use crate::vector::{Compiled, InstructionSet, Work};

/// Bytes of a matrix block that stays in the L2 cache while its rows are summed.
const CACHED: usize = 1 << 18;

/// Approximate minimum of additions per result row and block; the row is read and written once for all of them.
const ADDITIONS: usize = 8;

/// Every 16th row of a mask is sampled to estimate its density.
const SAMPLED: usize = 16;

/// Rows of a mask whose events are listed at once.
const LISTED: usize = 256;

/// Number of additions below which another thread is not worth waking, assuming a mask density of 10%.
const SMALL: usize = 1 << 20;

/// A mask and a matrix of matching sizes.
#[derive(Clone, Copy, Debug)]
struct Operands<'a, T> {
    mask: Read<'a>,
    columns: usize,
    matrix: Matrix<'a, T>,
}

/// Computes a product of operands with matching sizes. Returns whether all parts completed.
pub(super) fn run<T: Row>(
    product: &MaskedProduct,
    mask: Read,
    elements: &[T],
    out: &mut [T::Sum],
    pool: &dyn Pool,
) -> bool {
    let matrix = Matrix { elements, width: product.width };
    let operands = Operands { mask, columns: product.columns, matrix };
    let small = product.rows.saturating_mul(product.columns).saturating_mul(product.width) < SMALL;
    let workers = if small { 1 } else { pool.workers() };
    if product.over_rows {
        over_rows(product, operands, out, workers, pool)
    } else {
        over_columns(product, operands, out, workers, pool)
    }
}

/// Ranges of about equally many rows, about one per worker but at most `most` rows each, with their parts of `out`, whose rows have
/// `width` elements.
fn split<S>(
    rows: usize,
    most: usize,
    workers: usize,
    width: usize,
    out: &mut [S],
) -> impl Iterator<Item = (Range<usize>, &mut [S])> {
    let size = rows.div_ceil(workers).clamp(1, most);
    let ranges = (0..rows).step_by(size).map(move |first| first..rows.min(first + size));
    ranges.zip(out.chunks_mut((size * width).max(1)))
}

fn over_columns<T: Row>(
    product: &MaskedProduct,
    operands: Operands<T>,
    out: &mut [T::Sum],
    workers: usize,
    pool: &dyn Pool,
) -> bool {
    let parts = split(product.rows, LISTED, workers, product.width, out);
    run_parts(pool, parts.map(|(rows, out)| OverColumns { operands, rows, out }))
}

/// Some rows of a result, one per row of the mask.
struct OverColumns<'a, T: Row> {
    operands: Operands<'a, T>,
    rows: Range<usize>,
    out: &'a mut [T::Sum],
}

impl<T: Row> Work for OverColumns<'_, T> {
    #[inline(always)]
    fn run(self, set: impl InstructionSet) {
        let Operands { mask, columns, matrix } = self.operands;
        let events = Events::of_rows(set, &mask, columns, self.rows);
        for (row, out) in self.out.chunks_exact_mut(matrix.width).enumerate() {
            out.fill(T::Sum::default());
            matrix.add_rows(set, out, 0, events.list(row));
        }
    }
}

fn over_rows<T: Row>(
    product: &MaskedProduct,
    operands: Operands<T>,
    out: &mut [T::Sum],
    workers: usize,
    pool: &dyn Pool,
) -> bool {
    let block = block(product, &operands);
    let blocks: Vec<usize> = (0..product.rows).step_by(block).collect();
    let mut events: Vec<Events> = blocks.iter().map(|_| Events::default()).collect();
    let listings = blocks.iter().zip(&mut events).map(|(&first, events)| Listing {
        mask: operands.mask,
        columns: operands.columns,
        rows: first..product.rows.min(first + block),
        events,
    });
    if !run_parts(pool, listings) {
        return false;
    }
    let parts = split(product.columns, product.columns, workers, product.width, out);
    let matrix = operands.matrix;
    run_parts(pool, parts.map(|(rows, out)| OverRows { matrix, block, events: &events, rows, out }))
}

/// Rows per block of the matrix: as many as stay in the cache, or more if the mask is sparse.
fn block<T: Row>(product: &MaskedProduct, operands: &Operands<T>) -> usize {
    let rows = (0..product.rows).step_by(SAMPLED);
    let (looked_at, columns) = (rows.len() * product.columns, product.columns);
    let found: usize = rows.map(|row| Events::of_rows(Compiled, &operands.mask, columns, row..row + 1).count()).sum();
    let enough = ADDITIONS * looked_at / found.max(1);
    (CACHED / (product.width * size_of::<T>())).max(enough).clamp(1, product.rows)
}

/// Lists the events of a block of rows.
struct Listing<'a> {
    mask: Read<'a>,
    columns: usize,
    rows: Range<usize>,
    events: &'a mut Events,
}

impl Work for Listing<'_> {
    #[inline(always)]
    fn run(self, set: impl InstructionSet) {
        *self.events = Events::of_columns(set, &self.mask, self.columns, self.rows);
    }
}

/// Some rows of a result, one per column of the mask.
struct OverRows<'a, T: Row> {
    matrix: Matrix<'a, T>,
    /// Rows per block.
    block: usize,
    /// The events of each block.
    events: &'a [Events],
    rows: Range<usize>,
    out: &'a mut [T::Sum],
}

impl<T: Row> Work for OverRows<'_, T> {
    #[inline(always)]
    fn run(self, set: impl InstructionSet) {
        let width = self.matrix.width;
        self.out.fill(T::Sum::default());
        // A block of the matrix stays in the cache while all rows of the result are updated.
        for (at, events) in self.events.iter().enumerate() {
            let matrix = Matrix { elements: &self.matrix.elements[at * self.block * width..], ..self.matrix };
            for (row, out) in self.rows.clone().zip(self.out.chunks_exact_mut(width)) {
                matrix.add_rows(set, out, 0, events.list(row));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::in_turn::{InTurn, noise};

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let (rows, columns, width) = (700, 60, 90);
        let mask: Vec<u8> = (0..rows * columns).map(|i| u8::from(noise(i) < 0.5)).collect();
        for over_rows in [false, true] {
            let product = MaskedProduct { rows, columns, width, over_rows };
            let matrix: Vec<f32> = (0..product.summed() * width).map(|i| noise(i + 5).sin()).collect();
            let results = [1, 2, 3, 7].map(|workers| {
                let mut out = vec![f32::NAN; product.kept() * width];
                assert!(run(&product, Read::Pred(&mask), &matrix[..], &mut out, &InTurn(workers)));
                out
            });
            assert!(results[0].iter().any(|sum| *sum != 0.0) && results.iter().all(|out| *out == results[0]));
        }
    }
}
