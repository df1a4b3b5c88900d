//! A range of lanes that runs through all steps.

use std::fmt;
use std::ops::Range;

use super::events::Events;
use super::memory::Write;
use super::registers::{NARROW, Register, WIDTH, apply};
use super::results::ROWS;
use super::sampled::Part;
use super::scan::{Factor, Load, Place, Scan, Sequence};
use super::sums::Line;
use crate::vector::{InstructionSet, Work};

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

    /// Computes the step's masked products.
    #[inline(always)]
    fn sum(&self, set: impl InstructionSet, step: usize, state: &mut State) {
        for (sequence, line) in self.scan.slices.iter().zip(&mut state.lines) {
            if let (Sequence::Sums(sums), Some(line)) = (sequence, line) {
                sums.compute(set, step * self.scan.lanes, &self.lanes, &mut state.events, line);
                if let Some(next) = self.after(step) {
                    sums.prefetch(set, next * self.scan.lanes, &self.lanes);
                }
            }
        }
    }

    /// Computes what the neurons of a step receive from its spikes, or from its results.
    #[inline(always)]
    fn recur(&mut self, set: impl InstructionSet, step: usize, turn: usize, state: &mut State) {
        let Some(factor) = self.scan.factor() else { return };
        self.pass(set, Pass::Factor(factor), step, turn, state);
        let State { lines, events, fired, results, space, .. } = state;
        for (sequence, line) in self.scan.slices.iter().zip(lines) {
            match (sequence, line) {
                (Sequence::Recurrent(product), Some(line)) => product.compute(set, fired, events, line),
                (Sequence::Results(product), Some(Line::F32(line))) => product.compute(results, space, line),
                _ => {}
            }
        }
    }

    /// Goes through all lanes in one step; `turn` is the number of steps before it in this turn.
    #[inline(always)]
    fn pass(&mut self, set: impl InstructionSet, pass: Pass, step: usize, turn: usize, state: &mut State) {
        let mut first = 0;
        while first + WIDTH <= self.lanes.len() {
            self.prefetch(set, step, first);
            self.block::<WIDTH>(set, pass, [step, turn, first], state);
            first += WIDTH;
        }
        while first + NARROW <= self.lanes.len() {
            self.block::<NARROW>(set, pass, [step, turn, first], state);
            first += NARROW;
        }
        while first < self.lanes.len() {
            self.block::<1>(set, pass, [step, turn, first], state);
            first += 1;
        }
    }

    /// The step after this one.
    #[inline(always)]
    fn after(&self, step: usize) -> Option<usize> {
        let next = if self.scan.reverse { step.wrapping_sub(1) } else { step + 1 };
        if next < self.scan.steps { Some(next) } else { None }
    }

    /// Starts to load what the next step reads and writes for a block: at the start of a row the CPU does not know yet what comes.
    #[inline(always)]
    fn prefetch(&self, set: impl InstructionSet, step: usize, first: usize) {
        let Some(next) = self.after(step) else { return };
        for sequence in &self.scan.slices {
            if let Sequence::Memory(read) = sequence {
                read.prefetch(set, next * self.scan.lanes + self.lanes.start + first, WIDTH);
            }
        }
        for rows in &self.outputs {
            rows[next].prefetch(set, first, WIDTH);
        }
    }

    /// Goes through `W` lanes of this tile, starting at `first`.
    #[inline(always)]
    fn block<const W: usize>(
        &mut self,
        set: impl InstructionSet,
        pass: Pass,
        [step, turn, first]: [usize; 3],
        state: &mut State,
    ) {
        let scan = self.scan;
        let all = self.lanes.start + first;
        let at = Lanes { own: first, all, row: step * scan.lanes + all, turn };
        let State { file, lines, fired, results, .. } = state;
        for (load, register) in scan.loads.iter().zip(&mut file[scan.numbers.len()..]) {
            let to = register.lanes_mut::<W>();
            match *load {
                Load::Const(i) => scan.consts[i].load(at.all, to),
                Load::Slice(i) => match (&scan.slices[i], &lines[i]) {
                    (Sequence::Memory(read), _) => read.load(at.row, to),
                    (_, Some(line)) => line.as_read().load(at.own, to),
                    (_, None) => unreachable!("a computed sequence has a line"),
                },
            }
        }
        let code = match pass {
            Pass::List { needed } => &scan.code[..=needed],
            Pass::Factor(Factor::Spikes(of) | Factor::Results(of)) => &scan.code[..=of],
            Pass::Run => &scan.code[..],
        };
        for (i, code) in code.iter().enumerate() {
            let (before, from) = file.split_at_mut(scan.first_result() + i);
            let [a, b, c] = code.operands;
            // Not `map`: closures that are not inlined are not compiled for the target's vector instructions.
            let a = operand(scan, &self.carries, lines, before, a, at);
            let b = operand(scan, &self.carries, lines, before, b, at);
            let c = operand(scan, &self.carries, lines, before, c, at);
            apply::<W>(code.op, from[0].lanes_mut(), [a, b, c]);
        }
        match pass {
            Pass::List { needed } => {
                let factors = file[scan.first_result() + needed].lanes::<W>();
                for line in lines.iter_mut().flatten() {
                    if let Line::Sampled(part) = line {
                        part.list::<W>(set, turn, [at.own, at.row], factors);
                    }
                }
                return;
            }
            Pass::Factor(Factor::Spikes(of)) => {
                let spikes = file[scan.first_result() + of].lanes::<W>();
                let fired = &mut fired[at.own..][..W];
                for i in 0..W {
                    fired[i] = u8::from(spikes[i] != 0.0);
                }
                return;
            }
            Pass::Factor(Factor::Results(of)) => {
                results[at.own..][..W].copy_from_slice(file[scan.first_result() + of].lanes::<W>());
                return;
            }
            Pass::Run => {}
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

    /// Runs the steps of a turn: computes what they need of a product, then all steps.
    #[inline(always)]
    fn turn(&mut self, set: impl InstructionSet, steps: &[usize], state: &mut State) {
        // Only what needs no sums is listed for more than one step at once.
        let alone = steps.len() == 1;
        if alone {
            self.sum(set, steps[0], state);
        }
        if let Some(needed) = self.scan.needed() {
            state.lines.iter_mut().flatten().filter_map(Line::sampled).for_each(Part::clear);
            for (turn, step) in steps.iter().enumerate() {
                self.pass(set, Pass::List { needed }, *step, turn, state);
            }
            for line in state.lines.iter_mut().flatten() {
                // Not a closure: it would not be compiled for the target's vector instructions.
                if let Line::Sampled(part) = line {
                    part.compute(set);
                }
            }
        }
        for (turn, step) in steps.iter().enumerate() {
            if !alone {
                self.sum(set, *step, state);
            }
            self.recur(set, *step, turn, state);
            self.pass(set, Pass::Run, *step, turn, state);
        }
    }
}

impl Work for Tile<'_> {
    /// Runs all steps.
    #[inline(always)]
    fn run(mut self, set: impl InstructionSet) {
        let scan = self.scan;
        let turn = scan.steps_at_once(self.lanes.len());
        let lanes = self.lanes.len();
        let [spikes, results] = match scan.factor() {
            Some(Factor::Spikes(_)) => [lanes, 0],
            Some(Factor::Results(_)) => [0, lanes],
            None => [0, 0],
        };
        let (file, lines) = (scan.file(), scan.lines(&self.lanes, turn));
        let (fired, results) = (vec![0; spikes], vec![0.0; results]);
        let mut state = State { file, lines, events: Events::default(), fired, results, space: Vec::new() };
        let steps: Vec<usize> = match scan.reverse {
            true => (0..scan.steps).rev().collect(),
            false => (0..scan.steps).collect(),
        };
        for steps in steps.chunks(turn) {
            self.turn(set, steps, &mut state);
        }
    }
}

/// What is done with a block of lanes.
#[derive(Clone, Copy)]
enum Pass {
    /// Lists the lanes that need their element of a product.
    List { needed: usize },
    /// Notes the left factor of a product.
    Factor(Factor),
    /// Runs a step.
    Run,
}

/// The space of a tile at work.
struct State<'s> {
    file: Vec<Register>,
    /// Sequences that are not stored in memory.
    lines: Vec<Option<Line<'s>>>,
    events: Events,
    /// For each lane, whether it spikes in this step; empty if no product asks.
    fired: Vec<u8>,
    /// For each lane, its result of the instruction that a product multiplies; empty if no product asks.
    results: Vec<f32>,
    /// The same results, interleaved.
    space: Vec<[f32; ROWS]>,
}

/// The start of a block: among this tile's lanes, among all lanes, and in a sequence; the steps before in this turn.
#[derive(Clone, Copy)]
struct Lanes {
    own: usize,
    all: usize,
    row: usize,
    turn: usize,
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
            (_, Some(Line::Sampled(part))) => lanes(part.values(at.turn, at.own), 0),
            _ => unreachable!("other element types are loaded to registers"),
        },
    }
}

/// `W` elements starting at `first`.
#[inline(always)]
fn lanes<const W: usize>(array: &[f32], first: usize) -> &[f32; W] {
    array[first..].first_chunk().expect("sizes were checked before")
}
