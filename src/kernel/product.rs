//! Products of spikes with a matrix, cut into parts that do not depend on each other. Knows nothing of threads.

use std::ops::Range;

use spiq_hlo::SpikeProduct;

use super::events::Events;
use super::memory::Read;
use super::rows::{Matrix, Row, TILE};
use super::{Pool, Work};

/// Bytes of a matrix that stay in the second-level cache while rows of them are summed.
const CACHED: usize = 1 << 18;

/// Rows of spikes whose events are listed at a time.
const LISTED: usize = 256;

/// Additions below which another thread is not worth waking, if one element in ten is a spike.
const SMALL: usize = 1 << 20;

/// Spikes and a matrix that fit each other.
#[derive(Clone, Copy, Debug)]
struct Operands<'a, T> {
    spikes: Read<'a>,
    columns: usize,
    matrix: Matrix<'a, T>,
}

/// Computes a product whose operands are of its sizes. Whether all parts of it ended.
pub(super) fn run<T: Row>(
    product: &SpikeProduct,
    spikes: Read,
    elements: &[T],
    out: &mut [T::Sum],
    pool: &impl Pool,
) -> bool {
    let matrix = Matrix { elements, width: product.width };
    let operands = Operands { spikes, columns: product.columns, matrix };
    let small = product.rows * product.columns * product.width < SMALL;
    let workers = if small { 1 } else { pool.workers() };
    if product.over_rows {
        over_rows(product, operands, out, workers, pool)
    } else {
        over_columns(product, operands, out, workers, pool)
    }
}

/// Ranges of about equal size, none larger than `most`, as many as there are workers or more.
fn ranges(count: usize, most: usize, workers: usize) -> Vec<Range<usize>> {
    let size = count.div_ceil(workers).clamp(1, most);
    (0..count).step_by(size).map(|first| first..count.min(first + size)).collect()
}

fn over_columns<T: Row>(
    product: &SpikeProduct,
    operands: Operands<T>,
    out: &mut [T::Sum],
    workers: usize,
    pool: &impl Pool,
) -> bool {
    let ranges = ranges(product.rows, LISTED, workers);
    let size = ranges.first().map_or(0, Range::len) * product.width;
    let parts = ranges.into_iter().zip(out.chunks_mut(size.max(1)));
    pool.run_all(parts.map(|(rows, out)| OverColumns { operands, rows, out }).collect())
}

/// Some rows of a result, one for each row of spikes.
struct OverColumns<'a, T: Row> {
    operands: Operands<'a, T>,
    rows: Range<usize>,
    out: &'a mut [T::Sum],
}

impl<T: Row> Work for OverColumns<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Operands { spikes, columns, matrix } = self.operands;
        let events = Events::of_rows(&spikes, columns, self.rows);
        // Columns of the matrix that stay in the cache for all rows of the result.
        for first in (0..matrix.width).step_by(TILE) {
            let tile = first..matrix.width.min(first + TILE);
            for (row, out) in self.out.chunks_exact_mut(matrix.width).enumerate() {
                let out = &mut out[tile.clone()];
                out.fill(T::Sum::default());
                T::add(out, matrix, first, events.list(row));
            }
        }
    }
}

fn over_rows<T: Row>(
    product: &SpikeProduct,
    operands: Operands<T>,
    out: &mut [T::Sum],
    workers: usize,
    pool: &impl Pool,
) -> bool {
    let tile = TILE.min(product.width);
    let block = (CACHED / (tile * size_of::<T>())).max(LISTED);
    let blocks: Vec<usize> = (0..product.rows).step_by(block).collect();
    let mut events: Vec<Events> = blocks.iter().map(|_| Events::default()).collect();
    let listings = blocks.iter().zip(&mut events).map(|(&first, events)| Listing {
        spikes: operands.spikes,
        columns: operands.columns,
        rows: first..product.rows.min(first + block),
        events,
    });
    if !pool.run_all(listings.collect()) {
        return false;
    }
    let tiles = product.width.div_ceil(tile);
    let mut parts = Vec::new();
    for rows in ranges(product.columns, product.columns, workers.div_ceil(tiles)) {
        for first in (0..product.width).step_by(tile) {
            parts.push(OverRows {
                matrix: operands.matrix,
                block,
                events: &events,
                rows: rows.clone(),
                first,
                out: Vec::with_capacity(rows.len()),
            });
        }
    }
    // Each part gets its columns of each of its rows.
    for (row, out) in out.chunks_exact_mut(product.width).enumerate() {
        let own = parts.iter_mut().filter(|part| part.rows.contains(&row));
        own.zip(out.chunks_mut(tile)).for_each(|(part, out)| part.out.push(out));
    }
    pool.run_all(parts)
}

/// The events of a block of rows.
struct Listing<'a> {
    spikes: Read<'a>,
    columns: usize,
    rows: Range<usize>,
    events: &'a mut Events,
}

impl Work for Listing<'_> {
    #[inline(always)]
    fn run(self) {
        *self.events = Events::of_columns(&self.spikes, self.columns, self.rows);
    }
}

/// A tile of columns of some rows of a result, one for each column of spikes.
struct OverRows<'a, T: Row> {
    matrix: Matrix<'a, T>,
    /// Rows of a block.
    block: usize,
    /// Those of each block.
    events: &'a [Events],
    rows: Range<usize>,
    first: usize,
    out: Vec<&'a mut [T::Sum]>,
}

impl<T: Row> Work for OverRows<'_, T> {
    #[inline(always)]
    fn run(mut self) {
        self.out.iter_mut().for_each(|out| out.fill(T::Sum::default()));
        // A block of the matrix stays in the cache for all rows of the result.
        for (at, events) in self.events.iter().enumerate() {
            let elements = &self.matrix.elements[at * self.block * self.matrix.width..];
            let matrix = Matrix { elements, ..self.matrix };
            for (row, out) in self.rows.clone().zip(&mut self.out) {
                T::add(out, matrix, self.first, events.list(row));
            }
        }
    }
}
