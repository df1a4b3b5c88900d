//! The division of a loop among the programs of a grid: blocks of rows and columns of lanes, and of steps.

use spiq_hlo::DType;

use crate::contract::lane_program::LaneProgram;

/// Rows of a block: as many as a tile of 8-bit elements has.
const ROWS: usize = 32;
/// Columns of a block: the width of every tile.
const COLUMNS: usize = 128;
/// Bytes of a core's vector memory (VMEM) for blocks. The compiler grants a kernel 16 MiB on most chips and needs some of it for itself.
const MEMORY: usize = 8 << 20;

/// The lanes as rows and columns, and their blocks. The blocks at the end of an axis may be partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Rows and columns of all lanes.
    pub(super) lanes: [usize; 2],
    /// Rows and columns of a block.
    pub(super) block: [usize; 2],
    /// Number of steps.
    pub(super) steps: usize,
    /// Steps of a block.
    pub(super) steps_at_once: usize,
}

impl Blocks {
    /// The blocks of a loop whose lanes have the shape `dims`.
    pub(super) fn of(program: &LaneProgram, dims: &[usize]) -> Blocks {
        let lanes = rows_and_columns(dims);
        let block = [lanes[0].min(ROWS), lanes[1].min(COLUMNS)];
        let steps = program.steps;
        let most = steps_that_fit(program, block).min(steps);
        // Equal parts, as far as possible.
        Blocks { lanes, block, steps, steps_at_once: steps.div_ceil(steps.div_ceil(most)) }
    }

    /// Programs of the grid along rows, columns and time.
    pub(super) fn grid(&self) -> [usize; 3] {
        let along = |axis: usize| self.lanes[axis].div_ceil(self.block[axis]);
        [along(0), along(1), self.steps.div_ceil(self.steps_at_once)]
    }
}

/// The largest number of steps whose blocks fit in the memory, each twice: one is transferred while the other is used.
fn steps_that_fit(program: &LaneProgram, block: [usize; 2]) -> usize {
    let bytes = |dtype: &DType| 2 * padded(block, *dtype);
    let outputs = program.outputs.iter().map(|(_, dtype)| dtype);
    let a_step: usize = program.slices.iter().chain(outputs).map(bytes).sum();
    let carries = 2 * program.carries.len() * bytes(&DType::F32);
    let always: usize = program.consts.iter().map(bytes).sum::<usize>() + carries;
    (MEMORY.saturating_sub(always) / a_step.max(1)).max(1)
}

/// Bytes of a block in memory, in whole tiles: 8 rows of 32-bit elements, 16 of 16-bit, 32 of 8-bit ones.
fn padded([rows, columns]: [usize; 2], dtype: DType) -> usize {
    let bytes = dtype.bits().div_ceil(8);
    rows.next_multiple_of(32 / bytes) * columns.next_multiple_of(COLUMNS) * bytes
}

/// Lanes as rows and columns: the last axis as columns, and more axes if that wastes fewer elements of tiles.
fn rows_and_columns(dims: &[usize]) -> [usize; 2] {
    let split = |at: usize| [dims[..at].iter().product(), dims[at..].iter().product()];
    let first = usize::from(dims.len() > 1);
    let splits = (first..dims.len()).rev().map(split);
    splits.min_by_key(|split| padded(*split, DType::F32)).unwrap_or([1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_become_rows_and_columns() {
        for (dims, want) in [
            (&[][..], [1, 1]),
            (&[100], [1, 100]),
            (&[20, 10], [20, 10]),
            (&[128, 1024], [128, 1024]),
            (&[8, 28, 28, 16], [8, 28 * 28 * 16]),
            (&[4, 3, 8, 256], [4 * 3 * 8, 256]),
        ] {
            assert_eq!(rows_and_columns(dims), want, "{dims:?}");
        }
    }

    #[test]
    fn blocks_cover_lanes_and_steps() {
        let sequences = |count: usize, steps: usize| LaneProgram {
            steps,
            slices: vec![DType::F32; count],
            ..LaneProgram::default()
        };
        let few = Blocks::of(&sequences(1, 16), &[3, 10]);
        assert_eq!((few.block, few.steps_at_once, few.grid()), ([3, 10], 16, [1, 1, 1]));
        let many = Blocks::of(&sequences(4, 1000), &[130, 1000]);
        assert_eq!((many.block, many.steps_at_once, many.grid()), ([32, 128], 63, [5, 8, 16]));
        let wide = Blocks::of(&sequences(10_000, 7), &[32, 128]);
        assert_eq!((wide.steps_at_once, wide.grid()), (1, [1, 1, 7]));
    }
}
