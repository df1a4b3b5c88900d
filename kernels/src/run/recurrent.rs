//! Sequences that are not stored in memory: what neurons receive from the spikes of their row in the same step.

use super::events::Events;
use super::memory::Read;
use super::sums::{Line, Summed};
use crate::vector::InstructionSet;

/// Sums of the rows of a matrix, one for each lane of the same row where an instruction's result is not 0.
#[derive(Clone, Copy, Debug)]
pub struct Recurrent<'a> {
    pub(super) matrix: Summed<'a>,
    /// The instruction.
    pub(super) spikes: usize,
}

impl<'a> Recurrent<'a> {
    /// `None`: the matrix is not square, or its size does not match the lanes.
    pub(super) fn new(
        matrix: Read<'a>,
        [columns, width]: [usize; 2],
        lanes: usize,
        spikes: usize,
    ) -> Option<Recurrent<'a>> {
        let matrix = Summed::new(matrix, [columns, width], lanes)?;
        (columns == width).then_some(Recurrent { matrix, spikes })
    }

    /// Computes the sums for whole rows of lanes from a byte per lane, which is not 0 where the lane spikes.
    #[inline(always)]
    pub(super) fn compute(&self, set: impl InstructionSet, fired: &[u8], events: &mut Events, line: &mut Line) {
        self.matrix.sum(set, &Read::Pred(fired), 0, &(0..fired.len()), events, line);
    }
}
