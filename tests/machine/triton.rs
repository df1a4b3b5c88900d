//! Triton kernels of elementwise loops compared with a simple model of the lane program: bit for bit on a card
//! (`SPIQ_TEST_DEVICE=cuda`); without one, they are compiled ahead of time if the CUDA plugin is installed.

use super::lane_model;
use crate::run::Program;
use crate::skipped::skipped;
use spiq::native::{self, Target};
use spiq::pjrt::{Platform, find};
use spiq::random::Key;
use spiq::{Array, DType, TensorType};
use spiq_kernels::{Instruction, LaneOp, LaneProgram, Slot};

/// Cards of the last three generations.
const CARDS: [&str; 3] = ["cuda:a100", "cuda:h100", "cuda:b200"];

/// Special f32 values.
const SPECIAL: [f32; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    0.1,
    127.0,
    127.5,
    -128.0,
    -129.5,
    3.4e38,
    -3.4e38,
    1e-38,
    1e-45,
    -1e-40,
    8_388_607.5,
    8_388_609.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

fn on_card() -> bool {
    std::env::var("SPIQ_TEST_DEVICE").is_ok_and(|device| device == "cuda")
}

/// Runs the kernel on the card and compares it with the model; without a card, compiles it for each target.
#[track_caller]
fn check(program: &LaneProgram, inputs: &[Array]) {
    let function = program.triton_function().expect("a program that a kernel can hold");
    if on_card() {
        let got = Program::new(&function).expect("compiled").run(inputs).expect("run");
        let want = lane_model::run(program, inputs);
        // The card's exponential differs from the host's.
        let exact = !program.instructions.iter().any(|i| i.op == LaneOp::Exponential);
        for (at, (got, want)) in got.iter().zip(&want).enumerate() {
            lane_model::assert_same(&format!("result {at} of {program:?}"), got, want, exact);
        }
    } else if find(Platform::Cuda).is_some() {
        for card in CARDS {
            let compiled = native::report(&Target::parse(card).expect("a card"), &function);
            compiled.unwrap_or_else(|e| panic!("{card}: {e}\n{}", program.triton().unwrap_or_default()));
        }
    } else {
        skipped("neither a card (SPIQ_TEST_DEVICE=cuda) nor the plugin (spiq plugin install cuda13) is there");
    }
}

fn array(dims: &[usize], dtype: DType, values: &[f64]) -> Array {
    Array::from_f64(TensorType::new(dtype, dims), values).expect("a value for each element")
}

/// Each instruction on every pair of special values, as a loop step.
#[test]
fn every_instruction_on_special_values() {
    let lanes = SPECIAL.len() * SPECIAL.len();
    let [a, b, c]: [Vec<f64>; 3] = [0, 1, 2].map(|axis| {
        let at = |i: usize| match axis {
            0 => SPECIAL[i % SPECIAL.len()],
            1 => SPECIAL[i / SPECIAL.len()],
            _ => SPECIAL[(i * 7 + 3) % SPECIAL.len()],
        };
        (0..lanes).map(|i| f64::from(at(i))).collect()
    });
    let numbers: Vec<LaneOp> = LaneOp::ALL.iter().copied().filter(|op| !lane_model::takes_booleans(*op)).collect();
    let operands = [Slot::Slice(0), Slot::Slice(1), Slot::Slice(2)];
    let mut program = empty(1, lanes);
    program.slices = vec![DType::F32; 3];
    program.instructions = numbers.iter().map(|op| Instruction { op: *op, operands }).collect();
    program.outputs = (0..numbers.len()).map(|i| (Slot::Result(i), DType::F32)).collect();
    check(&program, &[a, b, c].map(|values| array(&[1, lanes], DType::F32, &values)));
}

/// Booleans, read as i1 and written as pred, s8, f32.
#[test]
fn booleans() {
    let mut program = empty(1, 8);
    program.slices = vec![DType::Pred; 3];
    let operands = [Slot::Slice(0), Slot::Slice(1), Slot::Slice(2)];
    let ops = [LaneOp::And, LaneOp::Or, LaneOp::Xor, LaneOp::Not, LaneOp::Select, LaneOp::Add, LaneOp::Equal];
    program.instructions = ops.iter().map(|op| Instruction { op: *op, operands }).collect();
    for dtype in [DType::Pred, DType::S8, DType::F32] {
        let outputs = ops.iter().enumerate().filter(|(_, op)| **op != LaneOp::Add || dtype == DType::F32);
        program.outputs.extend(outputs.map(|(i, _)| (Slot::Result(i), dtype)));
    }
    let bit = |bit: usize| (0..8).map(|i| (i >> bit & 1) as f64).collect::<Vec<_>>();
    check(&program, &[0, 1, 2].map(|b| array(&[1, 8], DType::Pred, &bit(b))));
}

/// Numbers of lanes and steps that are not multiples of a block or of the loop unrolling, both directions, every type read and written.
#[test]
fn edges_of_lanes_steps_and_types() {
    // Compiling for three cards takes a second each.
    let all = if on_card() { usize::MAX } else { 2 };
    for (index, (steps, lanes)) in
        [(17, 100), (4, (1 << 17) + 5), (9, 1 << 17), (1, 1), (3, 31), (16, 32), (5, 513), (33, 2560)]
            .into_iter()
            .enumerate()
            .take(all)
    {
        for reverse in [false, true] {
            let mut program = empty(steps, lanes);
            program.reverse = reverse;
            program.consts = vec![DType::F32, DType::S32];
            program.slices = vec![DType::F32, DType::BF16, DType::S8, DType::Pred, DType::S32];
            let step = |op, operands| Instruction { op, operands };
            let (x, half) = (Slot::Carry(0), Slot::Number(0.5));
            program.instructions = vec![
                step(LaneOp::MultiplyAdd, [x, Slot::Const(0), Slot::Slice(0)]),
                step(LaneOp::Add, [Slot::Result(0), Slot::Slice(1), x]),
                step(LaneOp::MultiplyAdd, [Slot::Slice(4), half, Slot::Result(1)]),
                step(LaneOp::Select, [Slot::Slice(3), Slot::Result(2), Slot::Slice(2)]),
                step(LaneOp::Greater, [Slot::Result(3), half, x]),
                step(LaneOp::Subtract, [Slot::Result(3), Slot::Result(4), x]),
                step(LaneOp::RoundBf16, [Slot::Result(5), x, x]),
                step(LaneOp::TruncateS8, [Slot::Result(5), x, x]),
                step(LaneOp::SubtractMultiply, [Slot::Const(1), Slot::Result(4), Slot::Result(5)]),
            ];
            program.carries = vec![Slot::Result(5), Slot::Result(8)];
            program.outputs = vec![
                (Slot::Result(4), DType::S8),
                (Slot::Result(4), DType::Pred),
                (Slot::Result(6), DType::BF16),
                (Slot::Result(7), DType::S8),
                (Slot::Result(5), DType::F32),
                (Slot::Carry(1), DType::F32),
            ];
            check(&program, &drawn(&program, index as i64));
        }
    }
}

/// Programs of random instructions.
#[test]
fn random_programs() {
    let ops: Vec<LaneOp> = LaneOp::ALL
        .iter()
        .copied()
        .filter(|op| !lane_model::takes_booleans(*op) && *op != LaneOp::Exponential)
        .collect();
    let cases = if on_card() { 60 } else { 6 };
    for case in 0..cases {
        let draws = Key::new(1000 + case).bits32(64);
        let mut draws = draws.iter().map(|bits| *bits as usize);
        let mut draw = |below: usize| draws.next().map_or(0, |bits| bits % below);
        let mut program = empty(1 + draw(20), 1 + draw(700));
        program.reverse = draw(2) == 1;
        program.consts = vec![DType::F32];
        program.slices = vec![DType::F32, DType::F32];
        for at in 0..8 {
            let mut slot = || match draw(5) {
                0 => Slot::Const(0),
                1 => Slot::Carry(0),
                2 | 3 if at > 0 => Slot::Result(draw(at)),
                _ => Slot::Slice(draw(2)),
            };
            let operands = [slot(), slot(), slot()];
            program.instructions.push(Instruction { op: ops[draw(ops.len())], operands });
        }
        program.carries = vec![Slot::Result(7)];
        program.outputs = vec![(Slot::Result(7), DType::F32), (Slot::Result(3), DType::F32)];
        check(&program, &drawn(&program, case));
    }
}

fn empty(steps: usize, lanes: usize) -> LaneProgram {
    let (consts, carries, slices) = (Vec::new(), Vec::new(), Vec::new());
    LaneProgram { steps, lanes, reverse: false, consts, carries, slices, outputs: Vec::new(), instructions: Vec::new() }
}

/// Random inputs of a program: numbers between -2 and 2, rounded for integer types.
fn drawn(program: &LaneProgram, seed: i64) -> Vec<Array> {
    let carries = program.carries.iter().map(|_| DType::F32);
    let whole = program.consts.iter().copied().chain(carries).map(|dtype| (dtype, vec![program.lanes]));
    let rows = program.slices.iter().map(|dtype| (*dtype, vec![program.steps, program.lanes]));
    let draw = |(at, (dtype, dims)): (usize, (DType, Vec<usize>))| {
        let count = dims.iter().product();
        let numbers = Key::new(seed * 100 + at as i64).uniform(count, -2.0, 2.0);
        let value = |x: f32| match dtype {
            DType::Pred => f64::from(u8::from(x > 0.0)),
            DType::S8 => f64::from((x * 60.0).round()),
            DType::S32 => f64::from((x * 1e6).round()),
            DType::BF16 => f64::from((x * 64.0).round() / 64.0),
            _ => f64::from(x),
        };
        array(&dims, dtype, &numbers.into_iter().map(value).collect::<Vec<_>>())
    };
    whole.chain(rows).enumerate().map(draw).collect()
}
