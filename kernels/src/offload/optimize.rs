//! Removes copies and dead instructions from a program.

use crate::contract::lane_op::LaneOp;
use crate::contract::lane_program::{LaneProgram, Slot};

/// The program without copies. Copies come from barriers, which prevent contraction; afterwards they are useless.
pub(super) fn without_copies(mut program: LaneProgram) -> LaneProgram {
    let mut source: Vec<Slot> = Vec::with_capacity(program.instructions.len());
    for (at, instruction) in program.instructions.iter_mut().enumerate() {
        instruction.operands.iter_mut().for_each(|slot| *slot = followed(*slot, &source));
        let copied = instruction.op == LaneOp::Copy;
        source.push(if copied { instruction.operands[0] } else { Slot::Result(at) });
    }
    let results = program.carries.iter_mut().chain(program.outputs.iter_mut().map(|(slot, _)| slot));
    results.for_each(|slot| *slot = followed(*slot, &source));
    program
}

/// The source of a slot, if it is a copy.
fn followed(slot: Slot, source: &[Slot]) -> Slot {
    match slot {
        Slot::Result(i) => source[i],
        _ => slot,
    }
}

/// The program without instructions whose results are unused.
pub(super) fn without_unread(mut program: LaneProgram) -> LaneProgram {
    let read = read(&program);
    let mut place = Vec::with_capacity(read.len());
    read.iter().fold(0, |next, read| {
        place.push(next);
        next + usize::from(*read)
    });
    let moved = |slot: &mut Slot| {
        if let Slot::Result(i) = slot {
            *i = place[*i];
        }
    };
    let mut kept = read.iter();
    program.instructions.retain(|_| *kept.next().expect("one flag per instruction"));
    program.instructions.iter_mut().flat_map(|i| &mut i.operands).for_each(moved);
    program.carries.iter_mut().chain(program.outputs.iter_mut().map(|(slot, _)| slot)).for_each(moved);
    program
}

/// Which instructions are used, directly or indirectly, by carries and outputs.
fn read(program: &LaneProgram) -> Vec<bool> {
    let mut read = vec![false; program.instructions.len()];
    let mark = |slot: &Slot, read: &mut [bool]| {
        if let Slot::Result(i) = slot {
            read[*i] = true;
        }
    };
    program.carries.iter().chain(program.outputs.iter().map(|(slot, _)| slot)).for_each(|slot| mark(slot, &mut read));
    for (at, instruction) in program.instructions.iter().enumerate().rev() {
        if read[at] {
            instruction.operands.iter().for_each(|slot| mark(slot, &mut read));
        }
    }
    read
}
