//! A loop over time with its memory, divided into tiles.

use std::ops::Range;

use spiq_hlo::DType;

use crate::contract::lane_op::LaneOp;
use crate::contract::lane_program::{Instruction, LaneProgram, Slot};

use super::memory::{Read, Write};
use super::recurrent::Recurrent;
use super::registers::{Register, WIDTH};
use super::results::Results;
use super::sampled::Sampled;
use super::sums::{Line, Sums};
use super::tile::Tile;

/// Lanes per tile: the carries stay in the L2 cache between steps, and a row is long enough for the hardware prefetcher.
const TILE: usize = 8192;

/// Elements of a product that is needed in part, computed at once: they stay in the L2 cache.
const AT_ONCE: usize = 1 << 16;

/// A program prepared to run: values are assigned to memory and registers.
#[derive(Debug)]
pub struct Scan<'a> {
    pub(super) steps: usize,
    pub(super) lanes: usize,
    pub(super) reverse: bool,
    pub(super) consts: Vec<Read<'a>>,
    pub(super) slices: Vec<Sequence<'a>>,
    /// The first registers, which hold constant numbers.
    pub(super) numbers: Vec<f32>,
    /// The registers that hold converted elements; they follow the numbers.
    pub(super) loads: Vec<Load>,
    pub(super) code: Vec<Code>,
    /// The register that each carry is updated from; `None` if it does not change.
    pub(super) carries: Vec<Option<usize>>,
    pub(super) outputs: Vec<Place>,
    written: Vec<DType>,
    pub(super) registers: usize,
}

/// A sequence that is read step by step.
#[derive(Debug)]
pub enum Sequence<'a> {
    Memory(Read<'a>),
    /// Computed step by step.
    Sums(Sums<'a>),
    /// Computed where it is needed.
    Sampled(Sampled<'a>),
    /// Computed from the step's spikes.
    Recurrent(Recurrent<'a>),
    /// Computed from results of the step.
    Results(Results),
}

impl Sequence<'_> {
    fn dtype(&self) -> DType {
        match self {
            Sequence::Memory(read) => read.dtype(),
            Sequence::Sums(sums) => sums.matrix().dtype(),
            Sequence::Recurrent(product) => product.matrix.dtype(),
            Sequence::Sampled(_) | Sequence::Results(_) => DType::F32,
        }
    }
}

/// The left factor of a product: the results of an instruction in the same step, or whether they are not 0.
#[derive(Clone, Copy, Debug)]
pub(super) enum Factor {
    Spikes(usize),
    Results(usize),
}

/// A value that is converted to f32 before a step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    Const(usize),
    Slice(usize),
}

/// An operation; its result goes to the register after all those it may read.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) op: LaneOp,
    pub(super) operands: [Place; 3],
}

/// The location of an operand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Register(usize),
    Carry(usize),
    /// An f32 array, read in place.
    Const(usize),
    /// The row of an f32 sequence, read in place.
    Slice(usize),
}

impl<'a> Scan<'a> {
    /// Prepares a program. `None`: the memory does not match the program.
    pub fn new(program: &LaneProgram, consts: Vec<Read<'a>>, slices: Vec<Sequence<'a>>) -> Option<Scan<'a>> {
        let all = program.steps.checked_mul(program.lanes)?;
        let is_read_after = |at: usize, instruction: usize| {
            let before = program.instructions.get(..=instruction);
            before.is_some_and(|before| before.iter().flat_map(|i| i.operands).all(|slot| slot != Slot::Slice(at)))
        };
        let long = |(at, sequence): (usize, &Sequence)| match sequence {
            Sequence::Memory(read) => read.len() == all,
            Sequence::Sums(_) => true,
            Sequence::Sampled(product) => is_read_after(at, product.needed),
            Sequence::Recurrent(product) => is_read_after(at, product.spikes),
            Sequence::Results(product) => is_read_after(at, product.of),
        };
        let from_results = |sequence: &&Sequence| !matches!(sequence, Sequence::Memory(_) | Sequence::Sums(_));
        let fits = consts.iter().map(Read::dtype).eq(program.consts.iter().copied())
            && consts.iter().all(|read| read.len() == program.lanes)
            && slices.iter().map(Sequence::dtype).eq(program.slices.iter().copied())
            && slices.iter().enumerate().all(long)
            // A step runs its first instructions for one of them.
            && slices.iter().filter(from_results).count() <= 1;
        if !fits {
            return None;
        }
        let mut scan = Scan {
            steps: program.steps,
            lanes: program.lanes,
            reverse: program.reverse,
            consts,
            slices,
            numbers: Vec::new(),
            loads: Vec::new(),
            code: Vec::new(),
            carries: Vec::new(),
            outputs: Vec::new(),
            written: program.outputs.iter().map(|(_, dtype)| *dtype).collect(),
            registers: 0,
        };
        scan.assign(program);
        Some(scan)
    }

    /// Assigns registers to numbers, then converted elements, then results: each instruction reads only registers before its own.
    fn assign(&mut self, program: &LaneProgram) {
        let read = program.instructions.iter().flat_map(|i| i.operands);
        let all: Vec<Slot> =
            read.chain(program.carries.iter().copied()).chain(program.outputs.iter().map(|o| o.0)).collect();
        for slot in &all {
            if let Slot::Number(value) = slot
                && !self.numbers.iter().any(|n| n.to_bits() == value.to_bits())
            {
                self.numbers.push(*value);
            }
        }
        let converted = |dtypes: &[DType], load: fn(usize) -> Load| {
            (0..dtypes.len()).filter(|&i| dtypes[i] != DType::F32).map(load).collect::<Vec<_>>()
        };
        self.loads = [converted(&program.consts, Load::Const), converted(&program.slices, Load::Slice)].concat();
        for Instruction { op, operands } in &program.instructions {
            let operands = operands.map(|slot| self.place(slot));
            self.code.push(Code { op: *op, operands });
        }
        self.outputs = program.outputs.iter().map(|(slot, _)| self.place(*slot)).collect();
        // All carries change at once, so a new value that is not in a register yet is copied to one.
        for (i, slot) in program.carries.iter().enumerate() {
            let next = match self.place(*slot) {
                Place::Carry(same) if same == i => None,
                Place::Register(r) => Some(r),
                other => {
                    self.code.push(Code { op: LaneOp::Copy, operands: [other; 3] });
                    Some(self.first_result() + self.code.len() - 1)
                }
            };
            self.carries.push(next);
        }
        self.registers = self.first_result() + self.code.len();
    }

    #[inline]
    pub(super) fn first_result(&self) -> usize {
        self.numbers.len() + self.loads.len()
    }

    fn place(&self, slot: Slot) -> Place {
        let loaded = |wanted: fn(&Load, usize) -> bool, i: usize| {
            self.loads.iter().position(|load| wanted(load, i)).map(|at| Place::Register(self.numbers.len() + at))
        };
        match slot {
            Slot::Carry(i) => Place::Carry(i),
            Slot::Result(i) => Place::Register(self.first_result() + i),
            Slot::Number(value) => {
                let at = self.numbers.iter().position(|n| n.to_bits() == value.to_bits());
                Place::Register(at.expect("every number has a register"))
            }
            Slot::Const(i) => loaded(|l, i| matches!(l, Load::Const(n) if *n == i), i).unwrap_or(Place::Const(i)),
            Slot::Slice(i) => loaded(|l, i| matches!(l, Load::Slice(n) if *n == i), i).unwrap_or(Place::Slice(i)),
        }
    }

    /// Divides the work into parts for `workers` threads. `carries` contain the initial carries and receive the final ones; `outputs`
    /// receive the rows of all steps. `None`: their sizes do not match the program.
    pub fn tiles<'t>(
        &'t self,
        carries: Vec<&'t mut [f32]>,
        outputs: Vec<Write<'t>>,
        workers: usize,
    ) -> Option<Vec<Tile<'t>>> {
        let fits = carries.len() == self.carries.len()
            && carries.iter().all(|c| c.len() == self.lanes)
            && outputs.iter().map(Write::dtype).eq(self.written.iter().copied())
            && outputs.iter().all(|o| o.len() == self.lanes * self.steps);
        if !fits {
            return None;
        }
        let ranges = ranges(self.lanes, self.row(workers), workers);
        let mut tiles: Vec<Tile> = ranges.iter().map(|lanes| Tile::new(self, lanes.clone())).collect();
        for mut carry in carries {
            for tile in &mut tiles {
                let (own, rest) = carry.split_at_mut(tile.lanes.len());
                tile.carries.push(own);
                carry = rest;
            }
        }
        for mut output in outputs {
            tiles.iter_mut().for_each(|tile| tile.outputs.push(Vec::with_capacity(self.steps)));
            for _ in 0..self.steps {
                for tile in &mut tiles {
                    let (own, rest) = output.split(tile.lanes.len());
                    tile.outputs.last_mut().expect("just pushed").push(own);
                    output = rest;
                }
            }
        }
        Some(tiles)
    }

    /// The granularity at which lanes are divided: always a row of neurons that reach each other; a row of fused sums, so that no row of the mask is listed twice; otherwise a vector.
    fn row(&self, workers: usize) -> usize {
        const VECTOR: usize = 16;
        let whole = |sequence: &Sequence| match sequence {
            Sequence::Recurrent(product) => Some(product.matrix.width()),
            Sequence::Results(product) => Some(product.width()),
            Sequence::Memory(_) | Sequence::Sums(_) | Sequence::Sampled(_) => None,
        };
        if let Some(width) = self.slices.iter().find_map(whole) {
            return width;
        }
        let row = |sequence: &Sequence| match sequence {
            Sequence::Sums(sums) => sums.matrix().width(),
            Sequence::Sampled(product) => product.width(),
            _ => VECTOR,
        };
        let row = self.slices.iter().map(row).fold(VECTOR, usize::max);
        if row * workers <= self.lanes && row <= TILE { row } else { VECTOR }
    }

    /// The steps whose elements of a product are computed at once, so that its right factor is read less often. One, if what they need
    /// depends on carries or on masked products.
    pub(super) fn steps_at_once(&self, lanes: usize) -> usize {
        let Some(needed) = self.needed() else { return 1 };
        let known = |place: &Place| match *place {
            Place::Carry(_) => false,
            Place::Slice(i) => matches!(self.slices[i], Sequence::Memory(_)),
            Place::Register(_) | Place::Const(_) => true,
        };
        let sums = |load: &Load| matches!(load, Load::Slice(i) if matches!(self.slices[*i], Sequence::Sums(_)));
        let early = self.code[..=needed].iter().flat_map(|code| &code.operands).all(known);
        if early && !self.loads.iter().any(sums) { (AT_ONCE / lanes.max(1)).clamp(1, self.steps.max(1)) } else { 1 }
    }

    /// The instruction that decides which elements of a product are needed.
    pub(super) fn needed(&self) -> Option<usize> {
        self.slices.iter().find_map(|sequence| match sequence {
            Sequence::Sampled(product) => Some(product.needed),
            _ => None,
        })
    }

    /// What the first instructions of a step compute for a product of the step's spikes or results.
    pub(super) fn factor(&self) -> Option<Factor> {
        self.slices.iter().find_map(|sequence| match sequence {
            Sequence::Recurrent(product) => Some(Factor::Spikes(product.spikes)),
            Sequence::Results(product) => Some(Factor::Results(product.of)),
            _ => None,
        })
    }

    /// Buffers for the sequences that are not read from memory, for these lanes, and for `steps` steps where
    /// several are computed at once.
    pub(super) fn lines(&self, lanes: &Range<usize>, steps: usize) -> Vec<Option<Line<'_>>> {
        let lines = self.slices.iter().map(|sequence| match sequence {
            Sequence::Memory(_) => None,
            Sequence::Sums(sums) => Some(sums.matrix().line(lanes.len())),
            Sequence::Recurrent(product) => Some(product.matrix.line(lanes.len())),
            Sequence::Results(_) => Some(Line::F32(vec![0.0; lanes.len()])),
            Sequence::Sampled(product) => Some(Line::Sampled(product.part(lanes, steps))),
        });
        lines.collect()
    }

    pub(super) fn file(&self) -> Vec<Register> {
        let numbers = self.numbers.iter().map(|n| Register::filled(*n));
        numbers.chain(std::iter::repeat_n(Register::filled(0.0), self.registers - self.numbers.len())).collect()
    }
}

/// Ranges of about equally many lanes, at least one per worker if possible and not much larger than a tile; each a multiple of `row`.
fn ranges(lanes: usize, row: usize, workers: usize) -> Vec<Range<usize>> {
    let count = lanes.div_ceil(TILE).max(workers.min(lanes.div_ceil(WIDTH))).max(1);
    let size = lanes.div_ceil(count).next_multiple_of(row);
    (0..lanes).step_by(size.max(1)).map(|first| first..lanes.min(first + size)).collect()
}
