//! Mosaic kernels of elementwise loops, compiled ahead of time for each generation of TPUs if libtpu is installed. What they compute is
//! compared with the CPU kernel in `kernels/tests/mosaic`.

use super::lane_model;
use crate::own_process::{own_process, passes};
use crate::skipped::skipped;
use spiq::native::{self, Target};
use spiq::pjrt::{Platform, find};
use spiq::{DType, Function};
use spiq_kernels::{Instruction, LaneOp, LaneProgram, Slot};

const CHIPS: [&str; 4] = ["tpu:v5e", "tpu:v5p", "tpu:v6e", "tpu:tpu7x"];

/// Runs another test of this file in its own process: libtpu needs variables that can only be set there.
fn with_libtpu(test: &str) {
    match find(Platform::Tpu) {
        None => skipped("there is no tpu plugin; `spiq plugin install tpu` fetches it"),
        Some(_) => {
            let variables = [("TPU_SKIP_MDS_QUERY", "1"), ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")];
            passes(own_process(module_path!(), test).envs(variables));
        }
    }
}

#[track_caller]
fn compile(chip: &str, function: &Function, text: &str) {
    let compiled = native::report(&Target::parse(chip).expect("a chip"), function);
    compiled.unwrap_or_else(|e| panic!("{chip}: {e}\n{text}"));
}

/// Compiles the kernel of a program for every chip.
#[track_caller]
fn check(program: &LaneProgram, dims: &[usize]) {
    let text = program.mosaic(dims).expect("a kernel");
    let function = program.mosaic_function(dims).expect("a function");
    CHIPS.iter().for_each(|chip| compile(chip, &function, &text));
}

#[test]
fn every_instruction_compiles_for_every_chip() {
    with_libtpu("every_instruction");
}

#[test]
#[ignore = "a part of the test above"]
fn every_instruction() {
    let operands = [Slot::Slice(0), Slot::Slice(1), Slot::Slice(2)];
    let of_numbers = LaneOp::ALL.iter().filter(|op| !lane_model::takes_booleans(**op) || **op == LaneOp::Select);
    let of_booleans = LaneOp::ALL.iter().filter(|op| lane_model::takes_booleans(**op));
    let truths = [Slot::Slice(3), Slot::Slice(4), Slot::Slice(3)];
    let instructions: Vec<Instruction> = of_numbers
        .map(|op| Instruction { op: *op, operands })
        .chain(of_booleans.map(|op| Instruction { op: *op, operands: truths }))
        .collect();
    let written = instructions.iter().enumerate().flat_map(|(i, instruction)| {
        let truth = instruction.op.is_truth().then_some((Slot::Result(i), DType::S8));
        [(Slot::Result(i), DType::F32)].into_iter().chain(truth)
    });
    let program = LaneProgram {
        steps: 2,
        lanes: 32 * 128,
        slices: [vec![DType::F32; 3], vec![DType::Pred; 2]].concat(),
        outputs: written.collect(),
        instructions,
        ..LaneProgram::default()
    };
    check(&program, &[32, 128]);
}

#[test]
fn every_type_and_edge_compiles_for_every_chip() {
    with_libtpu("types_and_edges");
}

/// Lanes that do not fill or divide into blocks, both directions, time in one block and in several.
#[test]
#[ignore = "a part of the test above"]
fn types_and_edges() {
    for (steps, dims, reverse) in [
        (5, &[8, 20][..], false),
        (7, &[70, 300], true),
        (301, &[33, 129], true),
        (300, &[40], false),
        (4, &[3, 5, 5, 16], false),
        (1, &[1, 1], true),
    ] {
        let program = LaneProgram { steps, lanes: dims.iter().product(), reverse, ..every_type() };
        check(&program, dims);
    }
}

/// A program that reads and writes every type.
fn every_type() -> LaneProgram {
    let text = "loop of 1 steps, 1 lanes, forward
  const c0: f32
  const c1: s32
  slice x0: f32
  slice x1: bf16
  slice x2: s8
  slice x3: pred
  slice x4: s32
  r0 = multiply_add(s0, c0, x0)
  r1 = add(r0, x1)
  r2 = multiply_add(x4, 0.5, r1)
  r3 = select(x3, r2, x2)
  r4 = greater(r3, 0.5)
  r5 = subtract(r3, r4)
  r6 = round_bf16(r5)
  r7 = truncate_s8(r5)
  r8 = subtract_multiply(c1, r4, r5)
  carry s0 = r5
  carry s1 = r8
  write y0: s8 = r4
  write y1: pred = r4
  write y2: bf16 = r6
  write y3: s8 = r7
  write y4: f32 = r5
  write y5: f32 = s1
  write y6: f8E4M3FN = r4
  write y7: f8E5M2 = r4";
    text.parse().expect("a program")
}
