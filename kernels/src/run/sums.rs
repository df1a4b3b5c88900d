//! Sequences that are not stored in memory: rows of masked products, computed when a loop reads them.

use std::ops::Range;

use spiq_hlo::DType;

use super::events::Events;
use super::memory::Read;
use super::rows::{Matrix, Row};
use super::sampled::Part;
use crate::vector::InstructionSet;

/// A masked product that a loop reads as a sequence, one or more of its rows per step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums<'a> {
    mask: Read<'a>,
    matrix: Summed<'a>,
}

/// A matrix whose rows are summed, one for each element of a row of a mask that is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summed<'a> {
    columns: usize,
    elements: Elements<'a>,
    width: usize,
}

#[derive(Clone, Copy, Debug)]
enum Elements<'a> {
    S8(&'a [i8]),
    F32(&'a [f32]),
    Bf16(&'a [u16]),
}

/// The values that a range of lanes reads in one step.
#[derive(Debug)]
pub(super) enum Line<'a> {
    S32(Vec<i32>),
    F32(Vec<f32>),
    /// For several steps.
    Sampled(Part<'a>),
}

impl<'a> Sums<'a> {
    /// A product of a mask and a matrix of this width. `None`: their sizes do not match each other, or `lanes` and `steps`.
    pub(super) fn new(
        [mask, matrix]: [Read<'a>; 2],
        [columns, width]: [usize; 2],
        [steps, lanes]: [usize; 2],
    ) -> Option<Sums<'a>> {
        let matrix = Summed::new(matrix, [columns, width], lanes)?;
        let rows = steps.checked_mul(lanes / width)?;
        let fits = matches!(mask, Read::S8(_) | Read::Pred(_)) && Some(mask.len()) == rows.checked_mul(columns);
        fits.then_some(Sums { mask, matrix })
    }

    #[inline]
    pub(super) fn matrix(&self) -> &Summed<'a> {
        &self.matrix
    }

    /// Starts to load what [`compute`](Sums::compute) reads of the mask.
    #[inline(always)]
    pub(super) fn prefetch(&self, set: impl InstructionSet, first: usize, lanes: &Range<usize>) {
        let Summed { columns, width, .. } = self.matrix;
        let rows = (first + lanes.start) / width..(first + lanes.end).div_ceil(width);
        self.mask.prefetch(set, rows.start * columns, rows.len() * columns);
    }

    /// Computes the values that these lanes read in the step whose first element is `first`.
    #[inline(always)]
    pub(super) fn compute(
        &self,
        set: impl InstructionSet,
        first: usize,
        lanes: &Range<usize>,
        events: &mut Events,
        line: &mut Line,
    ) {
        self.matrix.sum(set, &self.mask, first, lanes, events, line);
    }
}

impl<'a> Summed<'a> {
    /// A matrix of this width for rows of as many lanes. `None`: its size does not match, or `lanes` are not whole rows.
    pub(super) fn new(matrix: Read<'a>, [columns, width]: [usize; 2], lanes: usize) -> Option<Summed<'a>> {
        let elements = match matrix {
            Read::S8(elements) => Elements::S8(elements),
            Read::F32(elements) => Elements::F32(elements),
            Read::Bf16(elements) => Elements::Bf16(elements),
            _ => return None,
        };
        let fits = width > 0 && lanes.is_multiple_of(width) && Some(matrix.len()) == columns.checked_mul(width);
        fits.then_some(Summed { columns, elements, width })
    }

    #[inline]
    pub(super) fn dtype(&self) -> DType {
        match self.elements {
            Elements::S8(_) => DType::S32,
            Elements::F32(_) | Elements::Bf16(_) => DType::F32,
        }
    }

    /// Lanes per row.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A buffer for the values that `lanes` lanes read in one step.
    pub(super) fn line(&self, lanes: usize) -> Line<'static> {
        match self.dtype() {
            DType::S32 => Line::S32(vec![0; lanes]),
            _ => Line::F32(vec![0.0; lanes]),
        }
    }

    /// Computes the sums that these lanes read, of the rows of a mask in which `first` is the start of lane 0.
    #[inline(always)]
    pub(super) fn sum(
        &self,
        set: impl InstructionSet,
        mask: &Read,
        first: usize,
        lanes: &Range<usize>,
        events: &mut Events,
        line: &mut Line,
    ) {
        match (self.elements, line) {
            (Elements::S8(elements), Line::S32(line)) => {
                self.add(set, elements, mask, [first, lanes.start, lanes.end], events, line)
            }
            (Elements::F32(elements), Line::F32(line)) => {
                self.add(set, elements, mask, [first, lanes.start, lanes.end], events, line)
            }
            (Elements::Bf16(elements), Line::F32(line)) => {
                self.add(set, elements, mask, [first, lanes.start, lanes.end], events, line)
            }
            _ => unreachable!("the line was made for these elements"),
        }
    }

    #[inline(always)]
    fn add<T: Row>(
        &self,
        set: impl InstructionSet,
        elements: &[T],
        mask: &Read,
        [first, start, end]: [usize; 3],
        events: &mut Events,
        line: &mut [T::Sum],
    ) {
        let matrix = Matrix { elements, width: self.width };
        line.fill(T::Sum::default());
        let mut lane = start;
        while lane < end {
            let (row, from) = ((first + lane) / self.width, lane % self.width);
            let next = end.min(lane - from + self.width);
            events.set_row(set, mask, self.columns, row);
            matrix.add_rows(set, &mut line[lane - start..next - start], from, events.list(0));
            lane = next;
        }
    }
}

impl<'a> Line<'a> {
    /// The values of a product that is needed in part.
    pub(super) fn sampled(&mut self) -> Option<&mut Part<'a>> {
        match self {
            Line::Sampled(part) => Some(part),
            _ => None,
        }
    }

    /// The values of one step.
    #[inline]
    pub(super) fn as_read(&self) -> Read<'_> {
        match self {
            Line::S32(line) => Read::S32(line),
            Line::F32(line) => Read::F32(line),
            Line::Sampled(_) => unreachable!("f32 is read in place"),
        }
    }
}
