//! A range of lanes that runs through all steps.

use std::fmt;
use std::ops::Range;

use super::events::Events;
use super::memory::Write;
use super::registers::{NARROW, Register, WIDTH, apply};
use super::scan::{Load, Place, Scan, Sequence};
use super::sums::Line;
use crate::vector::Work;

/// A range of lanes with its parts of carries and outputs.
pub struct Tile<'a> {
    scan: &'a Scan<'a>,
    pub(super) lanes: Range<usize>,
    pub(super) carries: Vec<&'a mut [f32]>,
    /// For each output and step, a part of a row.
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

    /// Computes the step's values of sequences that are not stored in memory.
    #[inline(always)]
    fn compute_lines(&self, step: usize, events: &mut Events, lines: &mut [Option<Line>]) {
        for (sequence, line) in self.scan.slices.iter().zip(lines) {
            if let (Sequence::Sums(sums), Some(line)) = (sequence, line) {
                sums.compute(step * self.scan.lanes, &self.lanes, events, line);
            }
        }
    }

    /// Runs one step of `W` lanes of this tile, starting at `first`.
    #[inline(always)]
    fn block<const W: usize>(&mut self, file: &mut [Register], lines: &[Option<Line>], step: usize, first: usize) {
        let scan = self.scan;
        let at = Lanes { own: first, all: self.lanes.start + first, row: step * scan.lanes + self.lanes.start + first };
        for (load, register) in scan.loads.iter().zip(&mut file[scan.numbers.len()..]) {
            let to = register.lanes_mut::<W>();
            match *load {
                Load::Const(i) => scan.consts[i].load(at.all, to),
                Load::Slice(i) => match (&scan.slices[i], &lines[i]) {
                    (Sequence::Memory(read), _) => read.load(at.row, to),
                    (_, Some(line)) => line.as_read().load(at.own, to),
                    (Sequence::Sums(_), None) => unreachable!("sums have a line"),
                },
            }
        }
        for (i, code) in scan.code.iter().enumerate() {
            let (before, from) = file.split_at_mut(scan.first_result() + i);
            let [a, b, c] = code.operands;
            // Not `map`: closures that are not inlined are not compiled for the target's vector instructions.
            let a = operand(scan, &self.carries, lines, before, a, at);
            let b = operand(scan, &self.carries, lines, before, b, at);
            let c = operand(scan, &self.carries, lines, before, c, at);
            apply::<W>(code.op, from[0].lanes_mut(), [a, b, c]);
        }
        for (place, rows) in scan.outputs.iter().zip(&mut self.outputs) {
            rows[step].store::<W>(at.own, operand(scan, &self.carries, lines, file, *place, at));
        }
        for (next, carry) in scan.carries.iter().zip(&mut self.carries) {
            if let Some(register) = next {
                carry[at.own..][..W].copy_from_slice(file[*register].lanes::<W>());
            }
        }
    }
}

impl Work for Tile<'_> {
    /// Runs all steps.
    #[inline(always)]
    fn run(mut self) {
        let (mut file, mut lines, mut events) =
            (self.scan.file(), self.scan.lines(self.lanes.len()), Events::default());
        for n in 0..self.scan.steps {
            let step = if self.scan.reverse { self.scan.steps - 1 - n } else { n };
            self.compute_lines(step, &mut events, &mut lines);
            let mut first = 0;
            while first + WIDTH <= self.lanes.len() {
                self.block::<WIDTH>(&mut file, &lines, step, first);
                first += WIDTH;
            }
            while first + NARROW <= self.lanes.len() {
                self.block::<NARROW>(&mut file, &lines, step, first);
                first += NARROW;
            }
            while first < self.lanes.len() {
                self.block::<1>(&mut file, &lines, step, first);
                first += 1;
            }
        }
    }
}

/// The start of a block: among this tile's lanes, among all lanes, and in a sequence.
#[derive(Clone, Copy)]
struct Lanes {
    own: usize,
    all: usize,
    row: usize,
}

/// The values of an operand for a block.
#[inline(always)]
fn operand<'v, const W: usize>(
    scan: &'v Scan<'_>,
    carries: &'v [&mut [f32]],
    lines: &'v [Option<Line>],
    file: &'v [Register],
    place: Place,
    at: Lanes,
) -> &'v [f32; W] {
    match place {
        Place::Register(i) => file[i].lanes(),
        Place::Carry(i) => lanes(carries[i], at.own),
        Place::Const(i) => lanes(scan.consts[i].as_f32().unwrap_or_default(), at.all),
        Place::Slice(i) => match (&scan.slices[i], &lines[i]) {
            (Sequence::Memory(read), _) => lanes(read.as_f32().unwrap_or_default(), at.row),
            (_, Some(Line::F32(line))) => lanes(line, at.own),
            _ => unreachable!("other element types are loaded to registers"),
        },
    }
}

/// `W` elements starting at `first`.
#[inline(always)]
fn lanes<const W: usize>(array: &[f32], first: usize) -> &[f32; W] {
    array[first..].first_chunk().expect("sizes were checked before")
}
