//! Prints one instruction of a [`LaneProgram`](crate::LaneProgram) in Triton's text, with the same rounding as the CPU kernel.

use super::text::{Text, Value};
use crate::contract::lane_op::LaneOp;
use crate::instructions::instructions;

macro_rules! texts {
    ($($(#[$doc:meta])* $number:literal $op:ident $name:literal $gives:ident [$($function:ident)?] |$($operand:ident),*| $value:expr,
        $text:expr;)*) => {
        /// Writes an instruction on values that are defined already.
        pub(super) fn write(text: &mut Text, op: LaneOp, operands: &[Value]) -> Value {
            match op { $(LaneOp::$op => ($text)(text, operands),)* }
        }
    };
}

instructions!(texts);

/// An operation on numbers with a number as result.
fn numbers(operation: &'static str) -> impl Fn(&mut Text, &[Value]) -> Value {
    move |text, operands| {
        let numbers = as_numbers(text, operands);
        text.numbers(operation, &numbers.iter().collect::<Vec<_>>())
    }
}

/// A comparison of numbers.
fn compare(predicate: &'static str) -> impl Fn(&mut Text, &[Value]) -> Value {
    move |text, operands| {
        let numbers = as_numbers(text, operands);
        text.compare(predicate, &numbers[0], &numbers[1])
    }
}

/// An operation on booleans with a boolean as result.
fn booleans(operation: &'static str) -> impl Fn(&mut Text, &[Value]) -> Value {
    move |text, operands| {
        let (a, b, ty) = (text.as_bool(&operands[0]), text.as_bool(&operands[1]), text.tensor("i1"));
        Value { name: text.define(format!("{operation} {}, {} : {ty}", a.name, b.name)), is_bool: true }
    }
}

fn as_numbers(text: &mut Text, values: &[Value]) -> Vec<Value> {
    values.iter().map(|value| text.as_number(value)).collect()
}

fn copy(_: &mut Text, operands: &[Value]) -> Value {
    operands[0].clone()
}

fn not(text: &mut Text, operands: &[Value]) -> Value {
    let (value, ty) = (text.as_bool(&operands[0]), text.tensor("i1"));
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

fn negate(text: &mut Text, operands: &[Value]) -> Value {
    let value = text.as_number(&operands[0]);
    negated(text, &value)
}

fn divide(text: &mut Text, operands: &[Value]) -> Value {
    numbers("tt.precise_divf")(text, operands)
}

fn sqrt(text: &mut Text, operands: &[Value]) -> Value {
    numbers("tt.precise_sqrt")(text, operands)
}

fn multiply_add(text: &mut Text, operands: &[Value]) -> Value {
    numbers("math.fma")(text, operands)
}

fn multiply_subtract(text: &mut Text, operands: &[Value]) -> Value {
    let numbers = as_numbers(text, operands);
    let c = negated(text, &numbers[2]);
    text.numbers("math.fma", &[&numbers[0], &numbers[1], &c])
}

fn subtract_multiply(text: &mut Text, operands: &[Value]) -> Value {
    let numbers = as_numbers(text, operands);
    let a = negated(text, &numbers[0]);
    text.numbers("math.fma", &[&a, &numbers[1], &numbers[2]])
}

/// Flips the sign bit, so that zeros and NaN keep all other bits.
fn negated(text: &mut Text, value: &Value) -> Value {
    let bits = text.bits(&value.name, "f32", "i32");
    let (sign, ty) = (text.integer(i64::from(i32::MIN), "i32"), text.tensor("i32"));
    let flipped = text.define(format!("arith.xori {bits}, {sign} : {ty}"));
    Value { name: text.bits(&flipped, "i32", "f32"), is_bool: false }
}

fn sign(text: &mut Text, operands: &[Value]) -> Value {
    let value = &text.as_number(&operands[0]);
    let (zero, one, minus) = (text.number(0.0), text.number(1.0), text.number(-1.0));
    let (above, below) = (text.compare("ogt", value, &zero), text.compare("olt", value, &zero));
    let name = text.select(&below, &minus.name, &value.name, "f32");
    Value { name: text.select(&above, &one.name, &name, "f32"), is_bool: false }
}

/// Adding 2²³ to a magnitude below it rounds to an integer, ties to even, and subtracting it is exact; larger magnitudes are integers.
fn round_even(text: &mut Text, operands: &[Value]) -> Value {
    let value = &text.as_number(&operands[0]);
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

fn round_bf16(text: &mut Text, operands: &[Value]) -> Value {
    let value = &text.as_number(&operands[0]);
    let narrow = text.convert("arith.truncf", &value.name, "f32", "bf16");
    Value { name: text.convert("arith.extf", &narrow, "bf16", "f32"), is_bool: false }
}

/// Rounds toward zero and clamps to -128 to 127; NaN becomes 0.
fn truncate_s8(text: &mut Text, operands: &[Value]) -> Value {
    let value = &text.as_number(&operands[0]);
    let (low, high, zero) = (text.number(-128.0), text.number(127.0), text.number(0.0));
    let is_number = text.compare("oeq", value, value);
    let known = Value { name: text.select(&is_number, &value.name, &zero.name, "f32"), is_bool: false };
    let raised = text.numbers("arith.maximumf", &[&known, &low]);
    let inside = text.numbers("arith.minimumf", &[&raised, &high]);
    let whole = text.convert("arith.fptosi", &inside.name, "f32", "i32");
    Value { name: text.convert("arith.sitofp", &whole, "i32", "f32"), is_bool: false }
}
