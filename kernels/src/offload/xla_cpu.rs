//! Reproduces the deviations of XLA:CPU from the graph's arithmetic, so that kernels give bit-identical results. Everything here follows
//! XLA and LLVM, not the meaning of operations.

use spiq_hlo::LaneFn;

use crate::contract::lane_op::LaneOp;
use crate::contract::lane_program::{Instruction, LaneProgram, Slot};

/// The operand that a function returns unchanged according to XLA's simplifier: adding a zero of either sign is the identity, so -0
/// remains -0.
pub(super) fn unchanged(function: LaneFn, slots: &[Slot]) -> Option<Slot> {
    let is = |slot: &Slot, value: f32| matches!(slot, Slot::Number(n) if *n == value);
    match (function, slots) {
        (LaneFn::Multiply | LaneFn::Divide, [a, b]) if is(b, 1.0) => Some(*a),
        (LaneFn::Multiply, [a, b]) if is(a, 1.0) => Some(*b),
        (LaneFn::Add | LaneFn::Subtract, [a, b]) if is(b, 0.0) => Some(*a),
        (LaneFn::Add, [a, b]) if is(a, 0.0) => Some(*b),
        _ => None,
    }
}

/// A division by a constant becomes a product with its reciprocal, as in XLA's simplifier.
pub(super) fn reciprocal(function: LaneFn, slots: &[Slot]) -> Option<(LaneOp, Vec<Slot>)> {
    match (function, slots) {
        (LaneFn::Divide, [a, Slot::Number(divisor)]) => Some((LaneOp::Multiply, vec![*a, Slot::Number(1.0 / divisor)])),
        _ => None,
    }
}

/// Fuses each product that only one sum or difference reads into it, rounded once, as LLVM contracts them in XLA's loops.
pub(super) fn contracted(mut program: LaneProgram) -> LaneProgram {
    let readers = readers(&program);
    for at in 0..program.instructions.len() {
        let Instruction { op, operands: [a, b, _] } = program.instructions[at];
        let product = |slot: Slot| match slot {
            Slot::Result(i) if readers[i] == 1 && program.instructions[i].op == LaneOp::Multiply => {
                Some(program.instructions[i].operands)
            }
            _ => None,
        };
        let fused = match (op, product(a), product(b)) {
            (LaneOp::Add, Some([x, y, _]), _) => Some((LaneOp::MultiplyAdd, [x, y, b])),
            (LaneOp::Add, None, Some([x, y, _])) => Some((LaneOp::MultiplyAdd, [x, y, a])),
            (LaneOp::Subtract, Some([x, y, _]), _) => Some((LaneOp::MultiplySubtract, [x, y, b])),
            (LaneOp::Subtract, None, Some([x, y, _])) => Some((LaneOp::SubtractMultiply, [x, y, a])),
            _ => None,
        };
        if let Some((op, operands)) = fused {
            program.instructions[at] = Instruction { op, operands };
        }
    }
    program
}

/// The number of readers of each instruction's result.
fn readers(program: &LaneProgram) -> Vec<usize> {
    let mut readers = vec![0; program.instructions.len()];
    let read = program.instructions.iter().flat_map(Instruction::read);
    for slot in read.chain(&program.carries).chain(program.outputs.iter().map(|(slot, _)| slot)) {
        if let Slot::Result(i) = slot {
            readers[*i] += 1;
        }
    }
    readers
}
