//! One instruction of a [`LaneProgram`](crate::LaneProgram) in Triton's text, rounded as the processor's kernel rounds it.

use super::text::{Text, Value};
use crate::lane_program::LaneOp;

/// Writes an instruction on values that are there already.
pub(super) fn write(text: &mut Text, op: LaneOp, operands: &[Value]) -> Value {
    match op {
        LaneOp::And => boolean(text, "arith.andi", operands),
        LaneOp::Or => boolean(text, "arith.ori", operands),
        LaneOp::Xor => boolean(text, "arith.xori", operands),
        LaneOp::Not => not(text, &operands[0]),
        LaneOp::Select => select(text, operands),
        LaneOp::Copy => operands[0].clone(),
        _ => {
            let numbers: Vec<Value> = operands.iter().map(|value| text.as_number(value)).collect();
            arithmetic(text, op, &numbers)
        }
    }
}

fn boolean(text: &mut Text, operation: &str, operands: &[Value]) -> Value {
    let (a, b, ty) = (text.as_bool(&operands[0]), text.as_bool(&operands[1]), text.tensor("i1"));
    Value { name: text.define(format!("{operation} {}, {} : {ty}", a.name, b.name)), is_bool: true }
}

fn not(text: &mut Text, value: &Value) -> Value {
    let (value, ty) = (text.as_bool(value), text.tensor("i1"));
    let yes = text.define(format!("arith.constant dense<true> : {ty}"));
    Value { name: text.define(format!("arith.xori {}, {yes} : {ty}", value.name)), is_bool: true }
}

fn select(text: &mut Text, operands: &[Value]) -> Value {
    let condition = text.as_bool(&operands[0]);
    let is_bool = operands[1].is_bool && operands[2].is_bool;
    let (a, b) = match is_bool {
        true => (operands[1].clone(), operands[2].clone()),
        false => (text.as_number(&operands[1]), text.as_number(&operands[2])),
    };
    Value { name: text.select(&condition, &a.name, &b.name, if is_bool { "i1" } else { "f32" }), is_bool }
}

fn arithmetic(text: &mut Text, op: LaneOp, values: &[Value]) -> Value {
    let all: Vec<&Value> = values.iter().collect();
    let direct = match op {
        LaneOp::Add => Some("arith.addf"),
        LaneOp::Subtract => Some("arith.subf"),
        LaneOp::Multiply => Some("arith.mulf"),
        // Triton's plain division and square root are approximate.
        LaneOp::Divide => Some("tt.precise_divf"),
        LaneOp::Sqrt => Some("tt.precise_sqrt"),
        LaneOp::Maximum => Some("arith.maximumf"),
        LaneOp::Minimum => Some("arith.minimumf"),
        LaneOp::MultiplyAdd => Some("math.fma"),
        LaneOp::Abs => Some("math.absf"),
        LaneOp::Exponential => Some("math.exp"),
        LaneOp::Floor => Some("math.floor"),
        LaneOp::Ceil => Some("math.ceil"),
        _ => None,
    };
    if let Some(operation) = direct {
        return text.numbers(operation, &all);
    }
    if let Some(predicate) = predicate(op) {
        return text.compare(predicate, all[0], all[1]);
    }
    match op {
        LaneOp::Negate => negated(text, all[0]),
        LaneOp::MultiplySubtract => {
            let c = negated(text, all[2]);
            text.numbers("math.fma", &[all[0], all[1], &c])
        }
        LaneOp::SubtractMultiply => {
            let a = negated(text, all[0]);
            text.numbers("math.fma", &[&a, all[1], all[2]])
        }
        LaneOp::Sign => sign(text, all[0]),
        LaneOp::RoundEven => round_even(text, all[0]),
        LaneOp::RoundBf16 => round_bf16(text, all[0]),
        LaneOp::TruncateS8 => truncate_s8(text, all[0]),
        _ => unreachable!("every other instruction is written above"),
    }
}

fn predicate(op: LaneOp) -> Option<&'static str> {
    match op {
        LaneOp::Equal => Some("oeq"),
        LaneOp::NotEqual => Some("une"),
        LaneOp::GreaterEqual => Some("oge"),
        LaneOp::Greater => Some("ogt"),
        LaneOp::LessEqual => Some("ole"),
        LaneOp::Less => Some("olt"),
        _ => None,
    }
}

/// By the sign bit, so that zeros and NaN keep their bits otherwise.
fn negated(text: &mut Text, value: &Value) -> Value {
    let bits = text.bits(&value.name, "f32", "i32");
    let (sign, ty) = (text.integer(i64::from(i32::MIN), "i32"), text.tensor("i32"));
    let flipped = text.define(format!("arith.xori {bits}, {sign} : {ty}"));
    Value { name: text.bits(&flipped, "i32", "f32"), is_bool: false }
}

fn sign(text: &mut Text, value: &Value) -> Value {
    let (zero, one, minus) = (text.number(0.0), text.number(1.0), text.number(-1.0));
    let (above, below) = (text.compare("ogt", value, &zero), text.compare("olt", value, &zero));
    let name = text.select(&below, &minus.name, &value.name, "f32");
    Value { name: text.select(&above, &one.name, &name, "f32"), is_bool: false }
}

/// Adding 2²³ to a magnitude below it rounds to an integer, ties to even, and taking it away is exact; larger ones are integers.
fn round_even(text: &mut Text, value: &Value) -> Value {
    let (large, size) = (text.number(8_388_608.0), text.numbers("math.absf", &[value]));
    let raised = text.numbers("arith.addf", &[&size, &large]);
    let rounded = text.numbers("arith.subf", &[&raised, &large]);
    let small = text.compare("olt", &size, &large);
    let chosen = text.select(&small, &rounded.name, &size.name, "f32");
    with_sign_of(text, value, &chosen)
}

/// The magnitude with the sign bit of `value`.
fn with_sign_of(text: &mut Text, value: &Value, magnitude: &str) -> Value {
    let ty = text.tensor("i32");
    let bits = text.bits(&value.name, "f32", "i32");
    let mask = text.integer(i64::from(i32::MIN), "i32");
    let sign = text.define(format!("arith.andi {bits}, {mask} : {ty}"));
    let size = text.bits(magnitude, "f32", "i32");
    let both = text.define(format!("arith.ori {size}, {sign} : {ty}"));
    Value { name: text.bits(&both, "i32", "f32"), is_bool: false }
}

fn round_bf16(text: &mut Text, value: &Value) -> Value {
    let narrow = text.convert("arith.truncf", &value.name, "f32", "bf16");
    Value { name: text.convert("arith.extf", &narrow, "bf16", "f32"), is_bool: false }
}

/// Toward zero, within -128 and 127; NaN becomes 0.
fn truncate_s8(text: &mut Text, value: &Value) -> Value {
    let (low, high, zero) = (text.number(-128.0), text.number(127.0), text.number(0.0));
    let is_number = text.compare("oeq", value, value);
    let known = Value { name: text.select(&is_number, &value.name, &zero.name, "f32"), is_bool: false };
    let raised = text.numbers("arith.maximumf", &[&known, &low]);
    let inside = text.numbers("arith.minimumf", &[&raised, &high]);
    let whole = text.convert("arith.fptosi", &inside.name, "f32", "i32");
    Value { name: text.convert("arith.sitofp", &whole, "i32", "f32"), is_bool: false }
}
