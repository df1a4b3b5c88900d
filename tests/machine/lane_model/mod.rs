//! A simple reference model of lane programs: one lane and one instruction at a time, in f32.

use spiq::{Array, DType, TensorType};
use spiq_kernels::{LaneOp, LaneProgram, Slot};

/// Whether the operands of an instruction are booleans.
pub fn takes_booleans(op: LaneOp) -> bool {
    matches!(op, LaneOp::And | LaneOp::Or | LaneOp::Xor | LaneOp::Not | LaneOp::Select)
}

/// Last carries [lanes] and outputs [steps, lanes] for constants, carries and sequences.
pub fn run(program: &LaneProgram, inputs: &[Array]) -> Vec<Array> {
    let values: Vec<Vec<f64>> = inputs.iter().map(Array::to_f64).collect();
    let (consts, rest) = values.split_at(program.consts.len());
    let (carries, slices) = rest.split_at(program.carries.len());
    let (lanes, steps) = (program.lanes, program.steps);
    let mut last = vec![vec![0.0; lanes]; carries.len()];
    let mut outputs = vec![vec![0.0; steps * lanes]; program.outputs.len()];
    for lane in 0..lanes {
        let mut state: Vec<f32> = carries.iter().map(|carry| carry[lane] as f32).collect();
        for turn in 0..steps {
            let step = if program.reverse { steps - 1 - turn } else { turn };
            let at = step * lanes + lane;
            let mut results: Vec<f32> = Vec::new();
            let read = |slot: Slot, results: &[f32]| match slot {
                Slot::Const(i) => consts[i][lane] as f32,
                Slot::Carry(i) => state[i],
                Slot::Slice(i) => slices[i][at] as f32,
                Slot::Number(number) => number,
                Slot::Result(i) => results[i],
            };
            for instruction in &program.instructions {
                let [a, b, c] = instruction.operands.map(|slot| read(slot, &results));
                results.push(apply(instruction.op, a, b, c));
            }
            for (output, (slot, dtype)) in outputs.iter_mut().zip(&program.outputs) {
                let value = read(*slot, &results);
                output[at] = if *dtype == DType::Pred { f64::from(u8::from(value != 0.0)) } else { f64::from(value) };
            }
            state = program.carries.iter().map(|slot| read(*slot, &results)).collect();
        }
        last.iter_mut().zip(&state).for_each(|(last, value)| last[lane] = f64::from(*value));
    }
    let carried = last.into_iter().map(|values| array(DType::F32, &[lanes], &values));
    let stacked = outputs.into_iter().zip(&program.outputs);
    carried.chain(stacked.map(|(values, (_, dtype))| array(*dtype, &[steps, lanes], &values))).collect()
}

fn array(dtype: DType, dims: &[usize], values: &[f64]) -> Array {
    Array::from_f64(TensorType::new(dtype, dims), values).expect("a value for each element")
}

fn apply(op: LaneOp, a: f32, b: f32, c: f32) -> f32 {
    let truth = |holds: bool| f32::from(u8::from(holds));
    match op {
        LaneOp::Add => a + b,
        LaneOp::Subtract => a - b,
        LaneOp::Multiply => a * b,
        LaneOp::Divide => a / b,
        LaneOp::Maximum | LaneOp::Minimum if a.is_nan() || b.is_nan() => f32::NAN,
        // Of two zeros, the positive one is the larger.
        LaneOp::Maximum if a == b => {
            if a.is_sign_positive() {
                a
            } else {
                b
            }
        }
        LaneOp::Minimum if a == b => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        LaneOp::Maximum => a.max(b),
        LaneOp::Minimum => a.min(b),
        LaneOp::MultiplyAdd => a.mul_add(b, c),
        LaneOp::MultiplySubtract => a.mul_add(b, -c),
        LaneOp::SubtractMultiply => (-a).mul_add(b, c),
        LaneOp::Abs => a.abs(),
        LaneOp::Negate => -a,
        LaneOp::Sign => {
            if a > 0.0 {
                1.0
            } else if a < 0.0 {
                -1.0
            } else {
                a
            }
        }
        LaneOp::Sqrt => a.sqrt(),
        LaneOp::Exponential => a.exp(),
        LaneOp::Floor => a.floor(),
        LaneOp::Ceil => a.ceil(),
        LaneOp::RoundEven => a.round_ties_even(),
        LaneOp::RoundBf16 => half::bf16::from_f32(a).to_f32(),
        // Rust's conversion saturates and maps NaN to 0.
        LaneOp::TruncateS8 => f32::from(a as i8),
        LaneOp::Equal => truth(a == b),
        LaneOp::NotEqual => truth(a != b),
        LaneOp::GreaterEqual => truth(a >= b),
        LaneOp::Greater => truth(a > b),
        LaneOp::LessEqual => truth(a <= b),
        LaneOp::Less => truth(a < b),
        LaneOp::And => truth(a != 0.0 && b != 0.0),
        LaneOp::Or => truth(a != 0.0 || b != 0.0),
        LaneOp::Xor => truth((a != 0.0) != (b != 0.0)),
        LaneOp::Not => truth(a == 0.0),
        LaneOp::Select => {
            if a != 0.0 {
                b
            } else {
                c
            }
        }
        LaneOp::Copy => a,
    }
}

/// Bit equality (all NaNs are equal), or to two units in the last place if results need not be exact.
#[track_caller]
pub fn assert_same(what: &str, got: &Array, want: &Array, exact: bool) {
    assert_eq!(got.ty(), want.ty(), "{what}");
    for (at, (got, want)) in got.to_f64().into_iter().zip(want.to_f64()).enumerate() {
        let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
        let close = !exact && (got - want).abs() <= 3e-7 * want.abs() + 1e-37;
        assert!(same || close, "{what}\nat {at}: {got:e}, want {want:e}");
    }
}
