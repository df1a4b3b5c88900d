//! Every instruction of the loop kernel on every combination of special values, compared with XLA's own code: NaN, infinities, both
//! zeros, denormals, ties, and the limits of narrow types.

use crate::device::cpu;
use spiq::pjrt::{Client, CompileOptions, Input};
use spiq::{Array, DType, Function, Program, Tensor, TensorType, scan, trace};
use spiq_kernels::{LaneOp, LaneProgram};

const SPECIAL: [f32; 32] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    -7.25,
    127.5,
    -128.5,
    300.0,
    1.003_906_3,
    1.011_718_8,
    16_777_217.0,
    8_388_607.5,
    88.7,
    -87.4,
    -103.5,
    1e-45,
    -1e-45,
    4e-39,
    -1.1e-38,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    f32::MAX,
    -f32::MAX,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// A step on all of its input sequences.
type Step = fn(&[Tensor]) -> Tensor;

/// An instruction, its number of operands, and a step that compiles to it.
const CASES: &[(LaneOp, usize, Step)] = &[
    (LaneOp::Add, 2, |x| &x[0] + &x[1]),
    (LaneOp::Subtract, 2, |x| &x[0] - &x[1]),
    (LaneOp::Multiply, 2, |x| &x[0] * &x[1]),
    (LaneOp::Divide, 2, |x| &x[0] / &x[1]),
    (LaneOp::Maximum, 2, |x| x[0].maximum(&x[1])),
    (LaneOp::Minimum, 2, |x| x[0].minimum(&x[1])),
    (LaneOp::Minimum, 3, |x| x[0].clamp(&x[1], &x[2])),
    (LaneOp::MultiplyAdd, 3, |x| &x[0] * &x[1] + &x[2]),
    (LaneOp::MultiplySubtract, 3, |x| &x[0] * &x[1] - &x[2]),
    (LaneOp::SubtractMultiply, 3, |x| &x[2] - &x[0] * &x[1]),
    (LaneOp::Abs, 1, |x| x[0].abs()),
    (LaneOp::Negate, 1, |x| x[0].negate()),
    (LaneOp::Sign, 1, |x| x[0].sign()),
    (LaneOp::Sqrt, 1, |x| x[0].sqrt()),
    (LaneOp::Exponential, 1, |x| x[0].exp()),
    (LaneOp::Floor, 1, |x| x[0].floor()),
    (LaneOp::Ceil, 1, |x| x[0].ceil()),
    (LaneOp::RoundEven, 1, |x| x[0].round_nearest_even()),
    (LaneOp::RoundBf16, 1, |x| x[0].convert(DType::BF16)),
    (LaneOp::TruncateS8, 1, |x| x[0].convert(DType::S8)),
    (LaneOp::Equal, 2, |x| x[0].eq(&x[1])),
    (LaneOp::NotEqual, 2, |x| x[0].ne(&x[1])),
    (LaneOp::GreaterEqual, 2, |x| x[0].ge(&x[1])),
    (LaneOp::Greater, 2, |x| x[0].gt(&x[1])),
    (LaneOp::LessEqual, 2, |x| x[0].le(&x[1])),
    (LaneOp::Less, 2, |x| x[0].lt(&x[1])),
    (LaneOp::And, 2, |x| x[0].gt(0.25).and(x[1].gt(0.25))),
    (LaneOp::Or, 2, |x| x[0].gt(0.25).or(x[1].gt(0.25))),
    (LaneOp::Xor, 2, |x| x[0].gt(0.25).xor(x[1].gt(0.25))),
    (LaneOp::Not, 1, |x| x[0].gt(0.25).not()),
    (LaneOp::Select, 3, |x| x[0].gt(0.25).select(&x[1], &x[2])),
];

/// A step on a sequence and a number.
type WithNumber = fn(&Tensor, f64) -> Tensor;

const WITH_NUMBER: &[(&str, WithNumber)] = &[
    ("x + n", |x, n| x + n),
    ("x - n", |x, n| x - n),
    ("n - x", |x, n| n - x),
    ("x * n", |x, n| x * n),
    ("x / n", |x, n| x / n),
    ("n / x", |x, n| n / x),
    ("max(x, n)", |x, n| x.maximum(n)),
    ("min(n, x)", |x, n| x.full_like(n).minimum(x)),
    ("clamp(x, n, 1)", |x, n| x.clamp(n, 1.0)),
    ("clamp(x, -1, n)", |x, n| x.clamp(-1.0, n)),
    ("x == n", |x, n| x.eq(n)),
    ("x > n", |x, n| x.gt(n)),
    ("x > n ? n : x", |x, n| x.gt(n).select(&x.full_like(n), x)),
];

/// Enough lanes for more than one thread.
const LEAST: usize = 1 << 15;

/// A loop that only applies this step, with an unchanged carry.
fn stepped(inputs: &[TensorType], step: &dyn Fn(&[Tensor]) -> Vec<Tensor>) -> Function {
    let named: Vec<(&str, TensorType)> = inputs.iter().map(|ty| ("x", ty.clone())).collect();
    let run = |x: &[Tensor]| {
        let start = x[0].index_axis(0, 0).convert(DType::F32).zeros_like();
        scan(&start, &x.to_vec(), |carry: Tensor, x: Vec<Tensor>| (carry, step(&x))).1
    };
    trace(&named, run).unwrap()
}

/// The loop kernel's instructions, from the program text.
fn instructions(client: &Client, function: &Function) -> Vec<LaneOp> {
    let text = Program::named("kernel").text_for(client, function).unwrap();
    let (_, config) = text.split_once("program = array<i64: ").expect("the loop is a call of the kernel");
    let words: Vec<i64> = config.split('>').next().unwrap().split(", ").map(|word| word.parse().unwrap()).collect();
    LaneProgram::decode(&words).unwrap().instructions.iter().map(|instruction| instruction.op).collect()
}

fn run(client: &Client, program: &Program, function: &Function, inputs: &[Array]) -> Vec<Vec<f64>> {
    let program = Program { options: CompileOptions { cache: false, ..program.options.clone() }, ..program.clone() };
    let buffers: Vec<_> = inputs.iter().map(|array| client.to_device(array).unwrap()).collect();
    let outputs = program.compile(client, function).unwrap().execute(buffers.iter().map(Input::Borrow).collect());
    outputs.unwrap().iter().map(|buffer| buffer.to_array().unwrap().to_f64()).collect()
}

/// Bit equality, including the signs of zeros; all NaNs are equal.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// XLA's exponentials of normal numbers are off by up to four units in the last place, ours by two.
fn close(a: f64, b: f64) -> bool {
    same(a, b) || b.is_normal() && (a - b).abs() <= b.abs() * 4.8e-7
}

/// With a constant, LLVM may select an instruction that preserves denormals (`-0 - x` becomes a sign flip) or one that does not (a
/// minimum): on XLA's threads they are flushed to zero.
fn same_or_flushed(a: f64, b: f64) -> bool {
    let flushed = |x: f64| if x.abs() < f64::from(f32::MIN_POSITIVE) { 0f64.copysign(x) } else { x };
    same(flushed(a), flushed(b))
}

/// Runs the loop in the kernel and in XLA, and compares the results; returns their number.
#[track_caller]
fn agree(client: &Client, name: &str, function: &Function, inputs: &[Array], equal: fn(f64, f64) -> bool) -> usize {
    let ours = run(client, &Program::named("kernel"), function, inputs);
    let theirs = run(client, &Program { without_kernels: true, ..Program::named("plain") }, function, inputs);
    let given: Vec<Vec<f64>> = inputs.iter().map(Array::to_f64).collect();
    for (output, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        for (i, (&a, &b)) in ours.iter().zip(theirs).enumerate() {
            let at = || given.iter().map(|values| values[i]).collect::<Vec<f64>>();
            assert!(equal(a, b), "{name} of {:?} (result {output}): the kernel gives {a:e}, XLA {b:e}", at());
        }
    }
    ours.iter().map(Vec::len).sum()
}

#[test]
fn every_instruction_gives_what_xla_gives() {
    let client = cpu();
    let (count, mut compared) = (SPECIAL.len(), 0);
    for &(op, operands, step) in CASES {
        let combinations = count.pow(operands as u32);
        let lanes = combinations.max(LEAST);
        let ty = TensorType::new(DType::F32, [2, lanes]);
        let function = stepped(&vec![ty; operands], &|x| vec![step(x)]);
        assert!(instructions(client, &function).contains(&op), "{op:?} is not in the kernel's program");
        // Operand n varies with the n-th digit, so that every combination occurs.
        let operand = |n: u32| {
            let values = (0..2 * lanes).map(|i| SPECIAL[i % lanes / count.pow(n) % count]);
            Array::new([2, lanes], values.collect::<Vec<f32>>()).unwrap()
        };
        let inputs: Vec<Array> = (0..operands as u32).map(operand).collect();
        let equal = match op {
            LaneOp::Exponential => close,
            // For a denormal and a zero either result is correct if both are flushed to zero.
            LaneOp::Maximum | LaneOp::Minimum => same_or_flushed,
            _ => same,
        };
        compared += agree(client, &format!("{op:?}"), &function, &inputs, equal);
    }
    // A copy computes nothing and is removed from every program.
    let missing: Vec<&LaneOp> =
        LaneOp::ALL.iter().filter(|op| **op != LaneOp::Copy && !CASES.iter().any(|case| case.0 == **op)).collect();
    assert!(missing.is_empty(), "not tested: {missing:?}");
    println!("{compared} results of {} instructions", CASES.len());
}

/// Constants are a separate kind of operand, and some operations on them compile differently.
#[test]
fn special_numbers_in_a_program_do_too() {
    let client = cpu();
    let ty = TensorType::new(DType::F32, [2, SPECIAL.len()]);
    let x = Array::new([2, SPECIAL.len()], [SPECIAL, SPECIAL].concat()).unwrap();
    // No denormals: the compiler treats them as nonzero, the CPU as zero.
    for number in SPECIAL.into_iter().filter(|n| !n.is_subnormal()).map(f64::from) {
        let all = |x: &[Tensor]| WITH_NUMBER.iter().map(|(_, step)| step(&x[0], number)).collect();
        let function = stepped(std::slice::from_ref(&ty), &all);
        assert!(!instructions(client, &function).is_empty());
        let names: Vec<&str> = WITH_NUMBER.iter().map(|(name, _)| *name).collect();
        agree(client, &format!("{names:?}, n = {number}"), &function, std::slice::from_ref(&x), same_or_flushed);
    }
}

/// Elements converted on reading, and producers fused into the loop.
#[test]
fn narrow_types_are_read_and_written_alike() {
    let client = cpu();
    let wide = [0.0, 1.0, -1.0, 127.0, -128.0, 2_147_483_647.0, -2_147_483_648.0, 16_777_217.0, -33_554_435.0];
    let values: [(DType, Vec<f64>); 4] = [
        (DType::S32, wide.to_vec()),
        (DType::S8, (-128..128).map(f64::from).collect()),
        (DType::Pred, vec![0.0, 1.0]),
        (DType::BF16, SPECIAL.map(|x| f64::from(half::bf16::from_f32(x).to_f32())).to_vec()),
    ];
    for (dtype, values) in values {
        let ty = TensorType::new(dtype, [2, values.len()]);
        let array = Array::from_f64(ty.clone(), &[values.clone(), values].concat()).unwrap();
        let step = |x: &[Tensor]| {
            let wide = x[0].convert(DType::F32);
            let halved = &wide * 0.5;
            vec![halved.convert(DType::BF16), halved.convert(DType::S8), wide.gt(0.0), wide]
        };
        let inside = stepped(std::slice::from_ref(&ty), &step);
        assert!(!instructions(client, &inside).is_empty());
        agree(client, &format!("{dtype}"), &inside, std::slice::from_ref(&array), same);
        let before = trace(&[("x", ty)], |x| {
            let scaled = x[0].convert(DType::F32) * 3.0 - 1.0;
            let start = scaled.index_axis(0, 0).zeros_like();
            vec![scan(&start, &scaled, |carry: Tensor, x: Tensor| (carry.maximum(&x), x.abs())).1]
        });
        agree(client, &format!("{dtype} before the loop"), &before.unwrap(), &[array], same);
    }
}
