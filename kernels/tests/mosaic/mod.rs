//! Kernels for TPUs: their text, run by a simple machine, against the CPU kernel.

mod machine;
mod parse;

use expect_test::expect_file;
use machine::Array;
use proptest::prelude::*;
use spiq_hlo::DType;
use spiq_kernels::run::{Read, Write, run_scan};
use spiq_kernels::{Instruction, LaneOp, LaneProgram, Slot};

use crate::run::Here;

/// The program with each fused multiply-add as a product and a sum, as TPUs round it.
fn unfused(program: &LaneProgram) -> LaneProgram {
    let mut apart = LaneProgram { instructions: Vec::new(), ..program.clone() };
    let mut place: Vec<usize> = Vec::new();
    let moved = |slot: Slot, place: &[usize]| match slot {
        Slot::Result(i) => Slot::Result(place[i]),
        other => other,
    };
    for Instruction { op, operands } in &program.instructions {
        let [a, b, c] = operands.map(|slot| moved(slot, &place));
        let product = Slot::Result(apart.instructions.len());
        let (op, operands) = match op {
            LaneOp::MultiplyAdd => (LaneOp::Add, vec![product, c]),
            LaneOp::MultiplySubtract => (LaneOp::Subtract, vec![product, c]),
            LaneOp::SubtractMultiply => (LaneOp::Subtract, vec![c, product]),
            op => (*op, vec![a, b, c]),
        };
        if operands.contains(&product) {
            apart.instructions.push(Instruction::new(LaneOp::Multiply, &[a, b]));
        }
        place.push(apart.instructions.len());
        apart.instructions.push(Instruction::new(op, &operands));
    }
    apart.carries.iter_mut().for_each(|slot| *slot = moved(*slot, &place));
    apart.outputs.iter_mut().for_each(|(slot, _)| *slot = moved(*slot, &place));
    apart
}

/// An array of the CPU kernel.
enum Memory {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    S8(Vec<i8>),
    S32(Vec<i32>),
    Pred(Vec<u8>),
}

impl Memory {
    fn of(dtype: DType, values: &[f64]) -> Memory {
        let values = values.iter().copied();
        match dtype {
            DType::F32 => Memory::F32(values.map(|x| x as f32).collect()),
            DType::BF16 => Memory::Bf16(values.map(|x| half::bf16::from_f64(x).to_bits()).collect()),
            DType::S8 => Memory::S8(values.map(|x| x as i8).collect()),
            DType::S32 => Memory::S32(values.map(|x| x as i32).collect()),
            DType::Pred => Memory::Pred(values.map(|x| x as u8).collect()),
            other => panic!("{other}"),
        }
    }

    fn values(&self) -> Vec<f64> {
        match self {
            Memory::F32(all) => all.iter().map(|x| f64::from(*x)).collect(),
            Memory::Bf16(all) => all.iter().map(|x| half::bf16::from_bits(*x).to_f64()).collect(),
            Memory::S8(all) => all.iter().map(|x| f64::from(*x)).collect(),
            Memory::S32(all) => all.iter().map(|x| f64::from(*x)).collect(),
            Memory::Pred(all) => all.iter().map(|x| f64::from(*x)).collect(),
        }
    }

    fn read(&self) -> Read<'_> {
        match self {
            Memory::F32(all) => Read::F32(all),
            Memory::Bf16(all) => Read::Bf16(all),
            Memory::S8(all) => Read::S8(all),
            Memory::S32(all) => Read::S32(all),
            Memory::Pred(all) => Read::Pred(all),
        }
    }

    fn write(&mut self) -> Write<'_> {
        match self {
            Memory::F32(all) => Write::F32(all),
            Memory::Bf16(all) => Write::Bf16(all),
            Memory::S8(all) => Write::S8(all),
            Memory::S32(all) => Write::S32(all),
            Memory::Pred(all) => Write::Pred(all),
        }
    }
}

/// Element types of the operands, and of the results.
fn types(program: &LaneProgram) -> [Vec<DType>; 2] {
    let carries = vec![DType::F32; program.carries.len()];
    let outputs = program.outputs.iter().map(|(_, dtype)| *dtype).collect();
    [[program.consts.clone(), carries.clone(), program.slices.clone()].concat(), [carries, outputs].concat()]
}

/// Runs the text of the kernel and the CPU kernel on drawn numbers, and compares the bits of all results.
#[track_caller]
fn check(program: &LaneProgram, [rows, columns]: [usize; 2], seed: u64) {
    let [given, written] = types(program);
    let dims = |is_whole: bool| if is_whole { vec![rows, columns] } else { vec![program.steps, rows, columns] };
    let whole = program.consts.len() + program.carries.len();
    let inputs: Vec<Array> = given
        .iter()
        .enumerate()
        .map(|(i, dtype)| {
            let dims = dims(i < whole);
            let values = Memory::of(*dtype, &drawn(*dtype, dims.iter().product(), seed ^ (i as u64) << 32)).values();
            Array { dims, values }
        })
        .collect();
    let shapes: Vec<Vec<usize>> = (0..written.len()).map(|i| dims(i < program.carries.len())).collect();
    let text = program.mosaic(&[rows, columns]).expect("a kernel");
    let got = machine::run(&text, &inputs, &shapes);

    let memory: Vec<Memory> =
        inputs.iter().zip(&given).map(|(array, dtype)| Memory::of(*dtype, &array.values)).collect();
    let empty = |(dtype, dims): (&DType, &Vec<usize>)| Memory::of(*dtype, &vec![0.0; dims.iter().product()]);
    let mut results: Vec<Memory> = written.iter().zip(&shapes).map(empty).collect();
    let (reads, writes) = (memory.iter().map(Memory::read).collect(), results.iter_mut().map(Memory::write).collect());
    run_scan(&unfused(program).encode(), &[], reads, writes, &Here).expect("it fits");
    for (i, (got, want)) in got.iter().zip(&results).enumerate() {
        for (at, (got, want)) in got.values.iter().zip(want.values()).enumerate() {
            let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(same, "result {i} at {at}: {got:e}, want {want:e}\n{program}\n{text}");
        }
    }
}

/// Numbers between -2 and 2, some of them special; whole numbers for integers.
fn drawn(dtype: DType, count: usize, seed: u64) -> Vec<f64> {
    const SPECIAL: [f32; 8] = [0.0, -0.0, 1.0, -1.5, 2.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut state = seed;
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let mut number = || {
        let bits = next();
        match bits % 29 {
            0 => f64::from(SPECIAL[(bits >> 32) as usize % SPECIAL.len()]),
            _ => f64::from((bits >> 40) as f32 / (1 << 22) as f32 - 2.0),
        }
    };
    let whole = |x: f64, by: f64| if x.is_finite() { (x * by).round() + 0.0 } else { 0.0 };
    let value = |x: f64| match dtype {
        DType::Pred => f64::from(u8::from(x > 0.0)),
        DType::S8 => whole(x, 60.0),
        DType::S32 => whole(x, 1e9 / 3.0),
        DType::BF16 => half::bf16::from_f64(x).to_f64(),
        _ => x,
    };
    (0..count).map(|_| value(number())).collect()
}

/// A program that reads and writes every type.
fn every_type(steps: usize, reverse: bool) -> LaneProgram {
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
  write y6: pred = x3
  write y7: f32 = x3";
    LaneProgram { steps, reverse, ..text.parse().expect("a program") }
}

/// Lanes that do not fill blocks, and blocks that do not cover lanes.
#[test]
fn every_type_at_every_edge() {
    for (seed, lanes) in [[1, 1], [3, 10], [32, 128], [33, 129], [8, 300], [70, 5]].into_iter().enumerate() {
        for reverse in [false, true] {
            let program = LaneProgram { lanes: lanes[0] * lanes[1], ..every_type(5, reverse) };
            check(&program, lanes, seed as u64);
        }
    }
}

/// A grid divides many steps into blocks, evenly or not.
#[test]
fn time_in_several_blocks() {
    for (seed, steps) in [100, 101].into_iter().enumerate() {
        for reverse in [false, true] {
            let program = LaneProgram { lanes: 33 * 129, ..every_type(steps, reverse) };
            let text = program.mosaic(&[33, 129]).expect("a kernel");
            assert!(text.contains("iteration_bounds = array<i64: 2, 2, 4>"), "{text}");
            check(&program, [33, 129], seed as u64);
        }
    }
}

/// Whether the operands are booleans.
fn takes_booleans(op: LaneOp) -> bool {
    matches!(op, LaneOp::And | LaneOp::Or | LaneOp::Xor | LaneOp::Not)
}

#[test]
fn booleans() {
    let [a, b, c] = [0, 1, 2].map(Slot::Slice);
    let ops = [LaneOp::And, LaneOp::Or, LaneOp::Xor, LaneOp::Not, LaneOp::Select, LaneOp::Equal, LaneOp::Add];
    let program = LaneProgram {
        steps: 4,
        lanes: 24,
        slices: vec![DType::Pred; 3],
        instructions: ops.iter().map(|op| Instruction::new(*op, &[a, b, c])).collect(),
        outputs: (0..ops.len())
            .flat_map(|i| [DType::F32, DType::S8, DType::Pred].map(|dtype| (Slot::Result(i), dtype)))
            // A sum of booleans in a loop is a number.
            .filter(|(slot, dtype)| *slot != Slot::Result(6) || *dtype == DType::F32)
            .collect(),
        ..LaneProgram::default()
    };
    check(&program, [4, 6], 1);
}

prop_compose! {
    /// Random instructions on numbers. The machine's exponential is not that of the CPU kernel.
    fn programs()(
        steps in 1..4usize, rows in 1..40usize, columns in 1..140usize, reverse: bool,
        drawn in prop::collection::vec((0..LaneOp::ALL.len(), prop::collection::vec((0..5u8, 0..9usize, any::<f32>()), 3)), 9),
    ) -> (LaneProgram, [usize; 2]) {
        let ops = LaneOp::ALL.iter().copied().filter(|op| *op != LaneOp::Exponential && !takes_booleans(*op));
        let ops: Vec<LaneOp> = ops.collect();
        let slot = |at: usize, (kind, index, number): (u8, usize, f32)| match kind {
            0 => Slot::Const(0),
            1 => Slot::Carry(0),
            2 => Slot::Number(number),
            3 if at > 0 => Slot::Result(index % at),
            _ => Slot::Slice(index % 2),
        };
        let instructions = drawn.iter().enumerate().map(|(at, (op, slots))| {
            Instruction::new(ops[op % ops.len()], &slots.iter().map(|drawn| slot(at, *drawn)).collect::<Vec<_>>())
        });
        let program = LaneProgram {
            steps, lanes: rows * columns, reverse,
            consts: vec![DType::F32],
            carries: vec![Slot::Result(8)],
            slices: vec![DType::F32, DType::S8],
            outputs: (0..9).map(|i| (Slot::Result(i), DType::F32)).collect(),
            instructions: instructions.collect(),
        };
        (program, [rows, columns])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn random_programs((program, lanes) in programs(), seed: u64) {
        check(&program, lanes, seed);
    }
}

/// Booleans as 8-bit floats, which the CPU kernel does not write.
#[test]
fn spikes_for_products_of_float8() {
    for dtype in [DType::F8E4M3FN, DType::F8E5M2] {
        let truth = Instruction::new(LaneOp::Greater, &[Slot::Slice(0), Slot::Number(0.5)]);
        let program = LaneProgram {
            steps: 1,
            lanes: 4,
            slices: vec![DType::F32],
            instructions: vec![truth],
            outputs: vec![(Slot::Result(0), dtype)],
            ..LaneProgram::default()
        };
        let x = Array { dims: vec![1, 2, 2], values: vec![0.0, 1.0, 0.5, 0.75] };
        let got = machine::run(&program.mosaic(&[2, 2]).expect("a kernel"), &[x], &[vec![1, 2, 2]]);
        assert_eq!(got[0].values, [0.0, 1.0, 0.0, 1.0]);
    }
}

#[test]
fn what_no_kernel_computes_is_refused_with_the_reason() {
    let holds = |dtype: DType| LaneProgram { steps: 2, lanes: 6, slices: vec![dtype], ..LaneProgram::default() };
    assert_eq!(holds(DType::F64).mosaic(&[6]), Err("kernels for TPUs do not read f64".to_owned()));
    let writes = LaneProgram { outputs: vec![(Slot::Number(1.0), DType::S32)], ..holds(DType::F32) };
    assert_eq!(writes.mosaic(&[6]), Err("kernels for TPUs do not write s32".to_owned()));
    let long = LaneProgram { steps: 1 << 20, lanes: 1 << 20, ..holds(DType::F32) };
    assert_eq!(long.mosaic(&[1 << 20]), Err("it has more than 2^31 elements".to_owned()));
    assert_eq!(LaneProgram { steps: 0, ..holds(DType::F32) }.mosaic(&[6]), Err("it has no elements".to_owned()));
}

/// The text of a small kernel. `UPDATE_EXPECT=1` rewrites it.
#[test]
fn a_leaky_integrator_in_text() {
    let program: LaneProgram = "loop of 16 steps, 80 lanes, backward
  const c0: f32
  slice x0: s32
  r0 = greater(s0, 1.0)
  r1 = multiply_add(c0, s0, x0)
  r2 = subtract(r1, r0)
  carry s0 = r2
  write y0: s8 = r0"
        .parse()
        .expect("a program");
    let text = program.mosaic(&[8, 10]).expect("a kernel");
    expect_file!["../emit/lif_mosaic.mlir"].assert_eq(&text);
}
