//! Sequences that are not stored in memory: the results of a step, multiplied by a matrix.

use super::memory::{Read, widened};

/// Products of rows of results of a step and the rows of a matrix, all of which the loop needs.
#[derive(Debug)]
pub struct Results {
    /// For [`COLUMNS`] rows of the matrix at a time, their elements column by column, widened to f32; zeros fill the last block.
    panels: Vec<[f32; COLUMNS]>,
    width: usize,
    /// The instruction that computes the left factor.
    pub(super) of: usize,
}

/// Columns of the product that are computed at once: a few vectors.
const COLUMNS: usize = 16;

/// Rows that are computed at once. Their sums fill 12 of the 16 registers of AVX2, each used by one instruction per column of the matrix.
pub(super) const ROWS: usize = 6;

impl Results {
    /// `None`: the matrix is not square, or its size or type does not match.
    pub(super) fn new(matrix: Read, [columns, width]: [usize; 2], lanes: usize, of: usize) -> Option<Results> {
        let fits = columns == width
            && width > 0
            && lanes.is_multiple_of(width)
            && Some(matrix.len()) == width.checked_mul(columns);
        let panels = match matrix {
            Read::F32(elements) if fits => panels(elements, width, |element| element),
            Read::Bf16(elements) if fits => panels(elements, width, widened),
            _ => return None,
        };
        Some(Results { panels, width, of })
    }

    /// Lanes per row.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Computes the products of whole rows of results. Each is summed in the order of the columns, for any number of rows. `space` is
    /// arbitrary.
    #[inline(always)]
    pub(super) fn compute(&self, results: &[f32], space: &mut Vec<[f32; ROWS]>, to: &mut [f32]) {
        let width = self.width;
        interleave(results, width, space);
        for (block, panel) in self.panels.chunks_exact(width).enumerate() {
            let first = block * COLUMNS;
            let count = COLUMNS.min(width - first);
            for (rows, to) in space.chunks_exact(width).zip(to.chunks_mut(ROWS * width)) {
                let sums = products(rows, panel);
                for (to, sums) in to.chunks_exact_mut(width).zip(&sums) {
                    to[first..first + count].copy_from_slice(&sums[..count]);
                }
            }
        }
    }
}

/// Copies rows to `to`, [`ROWS`] at a time, element by element; missing rows are arbitrary.
#[inline(always)]
fn interleave(rows: &[f32], width: usize, to: &mut Vec<[f32; ROWS]>) {
    to.resize((rows.len() / width).div_ceil(ROWS) * width, [0.0; ROWS]);
    for (rows, to) in rows.chunks(ROWS * width).zip(to.chunks_exact_mut(width)) {
        for (i, row) in rows.chunks_exact(width).enumerate() {
            for (to, element) in to.iter_mut().zip(row) {
                to[i] = *element;
            }
        }
    }
}

/// A square matrix in panels.
fn panels<E: Copy>(matrix: &[E], width: usize, wide: impl Fn(E) -> f32) -> Vec<[f32; COLUMNS]> {
    let mut panels = Vec::with_capacity(width.div_ceil(COLUMNS) * width);
    for rows in matrix.chunks(COLUMNS * width) {
        for column in 0..width {
            let mut elements = [0.0; COLUMNS];
            for (element, row) in elements.iter_mut().zip(rows.chunks_exact(width)) {
                *element = wide(row[column]);
            }
            panels.push(elements);
        }
    }
    panels
}

/// The products of each row and all columns of a panel.
#[inline(always)]
fn products(rows: &[[f32; ROWS]], panel: &[[f32; COLUMNS]]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (left, right) in rows.iter().zip(panel) {
        for row in 0..ROWS {
            for i in 0..COLUMNS {
                sums[row][i] = left[row].mul_add(right[i], sums[row][i]);
            }
        }
    }
    sums
}
