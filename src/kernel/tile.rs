//! A range of lanes, run through all steps. Knows nothing of other tiles.

use std::fmt;
use std::ops::Range;

use super::Work;
use super::memory::Write;
use super::registers::{Register, WIDTH, apply};
use super::scan::{Load, Place, Scan};

/// A range of lanes with the parts of carries and outputs that are its own.
pub(crate) struct Tile<'a> {
    scan: &'a Scan<'a>,
    pub(super) lanes: Range<usize>,
    pub(super) carries: Vec<&'a mut [f32]>,
    /// For each output, a part of a row for each step.
    pub(super) outputs: Vec<Vec<Write<'a>>>,
}

impl fmt::Debug for Tile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tile({:?})", self.lanes)
    }
}

impl<'a> Tile<'a> {
    pub(super) fn new(scan: &'a Scan<'a>, lanes: Range<usize>) -> Tile<'a> {
        Tile { scan, lanes, carries: Vec::new(), outputs: Vec::new() }
    }

    /// One step of a block of this tile's lanes.
    #[inline(always)]
    fn block(&mut self, file: &mut [Register], step: usize, own: Range<usize>) {
        let (scan, count) = (self.scan, own.len());
        let at = self.lanes.start + own.start..self.lanes.start + own.end;
        let row = step * scan.lanes + at.start..step * scan.lanes + at.end;
        for (load, register) in scan.loads.iter().zip(&mut file[scan.numbers.len()..]) {
            match *load {
                Load::Const(i) => scan.consts[i].load(at.clone(), &mut register.0[..count]),
                Load::Slice(i) => scan.slices[i].load(row.clone(), &mut register.0[..count]),
            }
        }
        for (i, code) in scan.code.iter().enumerate() {
            let (before, from) = file.split_at_mut(scan.first_result() + i);
            let operand = |place: Place| operand(scan, &self.carries, before, place, &own, &at, &row);
            apply(code.op, &mut from[0].0[..count], code.operands.map(operand));
        }
        for (place, rows) in scan.outputs.iter().zip(&mut self.outputs) {
            rows[step].store(own.clone(), operand(scan, &self.carries, file, *place, &own, &at, &row));
        }
        for (next, carry) in scan.carries.iter().zip(&mut self.carries) {
            if let Some(register) = next {
                carry[own.clone()].copy_from_slice(&file[*register].0[..count]);
            }
        }
    }
}

impl Work for Tile<'_> {
    /// Runs all steps.
    #[inline(always)]
    fn run(mut self) {
        let mut file = self.scan.file();
        for n in 0..self.scan.steps {
            let step = if self.scan.reverse { self.scan.steps - 1 - n } else { n };
            for first in (0..self.lanes.len()).step_by(WIDTH) {
                self.block(&mut file, step, first..self.lanes.len().min(first + WIDTH));
            }
        }
    }
}

/// The values of an operand for a block: `own` within the tile's carries, `at` among all lanes, `row` in a sequence.
#[inline(always)]
fn operand<'v>(
    scan: &'v Scan<'_>,
    carries: &'v [&mut [f32]],
    file: &'v [Register],
    place: Place,
    own: &Range<usize>,
    at: &Range<usize>,
    row: &Range<usize>,
) -> &'v [f32] {
    let in_place = |read: &super::memory::Read<'v>, range: &Range<usize>| {
        let array = read.as_f32().expect("other element types are loaded to registers");
        &array[range.clone()]
    };
    match place {
        Place::Register(i) => &file[i].0[..own.len()],
        Place::Carry(i) => &carries[i][own.clone()],
        Place::Const(i) => in_place(&scan.consts[i], at),
        Place::Slice(i) => in_place(&scan.slices[i], row),
    }
}
