//! Fusion of a loop's producers into the loop.

use std::sync::Arc;

use spiq_hlo::{Cotangents, Infer, Lane, LaneFn, Op, Reverse, Tensor, TensorType, Violation, scan};
use spiq_kernels::{KernelCall, LaneProgram};

use crate::{calls, f32, traced};

/// The program of the only loop.
#[track_caller]
fn only(calls: &[KernelCall]) -> &LaneProgram {
    let [KernelCall::Loop(program, _)] = calls else { panic!("one loop, not {calls:?}") };
    program
}

/// A nested loop: one of its sequences comes from an outer tensor, the other from an inner one, with the same value index in their traces.
#[test]
fn sequences_of_two_traces_with_one_number_are_two() {
    // Parameter 0 of the outer trace, and the first parameter of the outer loop's body: its carry.
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

/// A sum that accepts only matrices.
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

/// A failed attempt to fuse leaves no error: the loop reads the sequence computed before it.
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
