//! What is computed for a loop before it, in the loop.

use std::sync::Arc;

use spiq_hlo::{Cotangents, Infer, Lane, LaneFn, Op, Reverse, Tensor, TensorType, Violation, scan};
use spiq_kernels::{KernelCall, LaneProgram};

use crate::{calls, f32, traced};

/// The program of the one loop.
#[track_caller]
fn only(calls: &[KernelCall]) -> &LaneProgram {
    let [KernelCall::Loop(program, _)] = calls else { panic!("one loop, not {calls:?}") };
    program
}

/// A loop in a loop: of its sequences one is an outer tensor, one an inner, and both have the same number in their traces.
#[test]
fn sequences_of_two_traces_with_one_number_are_two() {
    // The outer parameter 0, and the first parameter of the outer loop's body: its carry.
    let function = traced(&[("a", f32(&[4, 8])), ("start", f32(&[4, 8])), ("x", f32(&[3, 8]))], |x| {
        let outer = |carry: Tensor, row: Tensor| {
            let sums = |v: Tensor, (a, b): (Tensor, Tensor)| (v + &a - &b, a);
            let scaled = (&x[0] * 2.0, &carry * 3.0);
            let (last, _) = scan(&row, &scaled, sums);
            (&carry * 0.5, last)
        };
        vec![scan(&x[1], &x[2], outer).1]
    });
    let calls = calls(&function);
    let program = only(&calls);
    assert_eq!(program.slices.len(), 2, "{program}");
}

#[test]
fn a_sequence_that_is_read_twice_is_one() {
    let function = traced(&[("x", f32(&[5, 8]))], |x| {
        let start = x[0].index_axis(0, 0).zeros_like();
        let sums = |v: Tensor, (a, b): (Tensor, Tensor)| (v + a - b, ());
        vec![scan(&start, &(&x[0] * 2.0, &x[0] * &x[0]), sums).0]
    });
    let calls = calls(&function);
    let program = only(&calls);
    assert_eq!(program.slices.len(), 1, "{program}");
}

/// A sum that is only there for matrices.
#[derive(Debug, PartialEq)]
struct OfMatrices;

impl Op for OfMatrices {
    fn name(&self) -> &'static str {
        "add"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        match operands[0].rank() {
            2 => Ok(vec![operands[0].clone()]),
            rank => Err(Violation::new("", format!("wants matrices, got {rank} axes"))),
        }
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        vec![None, None]
    }
    fn lane(&self) -> Option<Lane> {
        Some(Lane::of(LaneFn::Add, [Lane::Operand(0), Lane::Operand(1)]))
    }
}

/// What is tried for a kernel and cannot be done leaves no error: the loop reads what was computed before it.
#[test]
fn an_operation_that_takes_no_single_step_stays_before_the_loop() {
    let function = traced(&[("x", f32(&[5, 8]))], |x| {
        let sums = x[0].graph().record(Arc::new(OfMatrices), &[x[0].clone(), x[0].clone()]);
        let start = x[0].index_axis(0, 0).zeros_like();
        vec![scan(&start, &sums[0], |v: Tensor, row: Tensor| (v * 0.5 + row, ())).0]
    });
    let calls = calls(&function);
    let program = only(&calls);
    assert_eq!(program.instructions.len(), 1, "{program}");
}
