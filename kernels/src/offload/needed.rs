//! Finds the values of a sequence that a loop needs: those that it does not multiply by 0.
//!
//! In the backward pass of a neuron, the gradient of its spikes is only multiplied by the derivative of its surrogate, which is 0 outside
//! a window around the threshold.

use crate::contract::lane_op::LaneOp;
use crate::contract::lane_program::{Instruction, LaneProgram, Slot};

/// If each use of a sequence ends in a multiplication by the same result, which may be 0: the program with the instructions of that result
/// first, and its number in it.
///
/// Where the result is 0, the loop can then read 0 instead of the sequence. This differs where the sequence is infinite or NaN, as in a
/// sum of masked rows, and in the sign of a zero.
pub(super) fn needed(program: &LaneProgram, slice: usize) -> Option<(LaneProgram, usize)> {
    Some(first(program, only_factor(program, slice)?))
}

/// The result that may be 0 by which every use of the sequence is multiplied, if there is only one, and if the sequence only passes through linear
/// instructions before.
fn only_factor(program: &LaneProgram, slice: usize) -> Option<usize> {
    // Which results still contain the sequence without the factor.
    let mut open = vec![false; program.instructions.len()];
    let mut factor = None;
    let contains = |slot: &Slot, open: &[bool]| match *slot {
        Slot::Slice(i) => i == slice,
        Slot::Result(i) => open[i],
        _ => false,
    };
    for (at, instruction) in program.instructions.iter().enumerate() {
        let [a, b, c] = [0, 1, 2].map(|i| instruction.read().get(i).is_some_and(|slot| contains(slot, &open)));
        if !(a || b || c) {
            continue;
        }
        use LaneOp::{
            Add, Copy, Multiply, MultiplyAdd, MultiplySubtract, Negate, RoundBf16, Subtract, SubtractMultiply,
        };
        open[at] = match instruction.op {
            Add | Subtract | Negate | Copy | RoundBf16 => true,
            Multiply | MultiplyAdd | MultiplySubtract | SubtractMultiply if a && b => return None,
            Multiply | MultiplyAdd | MultiplySubtract | SubtractMultiply => {
                let other = instruction.operands[usize::from(a)];
                let closed = match other {
                    Slot::Result(i) if (a || b) && is_zero_at_times(program, i) => {
                        if factor.is_some_and(|factor| factor != i) {
                            return None;
                        }
                        factor = Some(i);
                        true
                    }
                    _ => false,
                };
                c || ((a || b) && !closed)
            }
            _ => return None,
        };
    }
    let mut written = program.carries.iter().chain(program.outputs.iter().map(|(slot, _)| slot));
    let is_read = written.any(|slot| contains(slot, &open));
    factor.filter(|_| !is_read)
}

/// Whether a result is 0 for some inputs by design, like a rectified number or a comparison.
fn is_zero_at_times(program: &LaneProgram, result: usize) -> bool {
    let Instruction { op, operands } = &program.instructions[result];
    let factor = |slot: &Slot| matches!(slot, Slot::Result(i) if is_zero_at_times(program, *i));
    match op {
        LaneOp::Maximum => operands[..2].iter().any(|slot| matches!(slot, Slot::Number(n) if *n == 0.0)),
        LaneOp::Select => operands[1..].iter().any(|slot| matches!(slot, Slot::Number(n) if *n == 0.0)),
        LaneOp::Multiply => operands[..2].iter().any(factor),
        LaneOp::Negate | LaneOp::Copy => factor(&operands[0]),
        op => op.is_truth(),
    }
}

/// The program with the instructions that a result depends on first, and the number of the result in it.
fn first(program: &LaneProgram, result: usize) -> (LaneProgram, usize) {
    let count = program.instructions.len();
    let mut leads = vec![false; count];
    leads[result] = true;
    // Operands precede their readers.
    for at in (0..=result).rev() {
        for slot in program.instructions[at].read().iter().filter(|_| leads[at]).copied().collect::<Vec<_>>() {
            if let Slot::Result(i) = slot {
                leads[i] = true;
            }
        }
    }
    let order = (0..count).filter(|at| leads[*at]).chain((0..count).filter(|at| !leads[*at]));
    let order: Vec<usize> = order.collect();
    let mut place = vec![0; count];
    order.iter().enumerate().for_each(|(to, from)| place[*from] = to);
    let moved = |slot: &Slot| match *slot {
        Slot::Result(i) => Slot::Result(place[i]),
        slot => slot,
    };
    let instruction = |at: &usize| {
        let Instruction { op, operands } = program.instructions[*at];
        Instruction { op, operands: operands.map(|slot| moved(&slot)) }
    };
    let reordered = LaneProgram {
        instructions: order.iter().map(instruction).collect(),
        carries: program.carries.iter().map(moved).collect(),
        outputs: program.outputs.iter().map(|(slot, dtype)| (moved(slot), *dtype)).collect(),
        ..program.clone()
    };
    (reordered, place[result])
}
