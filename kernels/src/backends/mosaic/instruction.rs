//! Prints one instruction of a [`LaneProgram`](crate::LaneProgram) in Mosaic's text.

use super::text::{Compare, Text, Value};
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
        text.same(operation, &numbers.iter().collect::<Vec<_>>())
    }
}

/// A comparison of numbers.
fn compare(predicate: &'static str) -> impl Fn(&mut Text, &[Value]) -> Value {
    move |text, operands| {
        let numbers = as_numbers(text, operands);
        let ordered = match predicate {
            "oeq" => Compare::Equal,
            "ogt" => Compare::Greater,
            "oge" => Compare::GreaterEqual,
            "olt" => Compare::Less,
            "ole" => Compare::LessEqual,
            _ => return text.differ(&numbers[0], &numbers[1]),
        };
        text.compare(ordered, &numbers[0], &numbers[1])
    }
}

/// An operation on booleans with a boolean as result.
fn booleans(operation: &'static str) -> impl Fn(&mut Text, &[Value]) -> Value {
    move |text, operands| {
        let (a, b) = (text.as_bool(&operands[0]), text.as_bool(&operands[1]));
        text.same(operation, &[&a, &b])
    }
}

fn as_numbers(text: &mut Text, values: &[Value]) -> Vec<Value> {
    values.iter().map(|value| text.as_number(value)).collect()
}

fn copy(_: &mut Text, operands: &[Value]) -> Value {
    operands[0].clone()
}

fn not(text: &mut Text, operands: &[Value]) -> Value {
    let value = text.as_bool(&operands[0]);
    text.not(&value)
}

/// Numbers are selected even where both are booleans: no TPU selects between masks.
fn select(text: &mut Text, operands: &[Value]) -> Value {
    let condition = text.as_bool(&operands[0]);
    let (a, b) = (text.as_number(&operands[1]), text.as_number(&operands[2]));
    text.select(&condition, &a, &b)
}

fn divide(text: &mut Text, operands: &[Value]) -> Value {
    numbers("arith.divf")(text, operands)
}

fn sqrt(text: &mut Text, operands: &[Value]) -> Value {
    numbers("math.sqrt")(text, operands)
}

fn negate(text: &mut Text, operands: &[Value]) -> Value {
    numbers("arith.negf")(text, operands)
}

/// The product of the first two operands, rounded: the vector unit has no fused multiply-add, and XLA's loops for TPUs round twice as
/// well.
fn product(text: &mut Text, numbers: &[Value]) -> Value {
    text.same("arith.mulf", &[&numbers[0], &numbers[1]])
}

fn multiply_add(text: &mut Text, operands: &[Value]) -> Value {
    let numbers = as_numbers(text, operands);
    let product = product(text, &numbers);
    text.same("arith.addf", &[&product, &numbers[2]])
}

fn multiply_subtract(text: &mut Text, operands: &[Value]) -> Value {
    let numbers = as_numbers(text, operands);
    let product = product(text, &numbers);
    text.same("arith.subf", &[&product, &numbers[2]])
}

fn subtract_multiply(text: &mut Text, operands: &[Value]) -> Value {
    let numbers = as_numbers(text, operands);
    let product = product(text, &numbers);
    text.same("arith.subf", &[&numbers[2], &product])
}

fn sign(text: &mut Text, operands: &[Value]) -> Value {
    let value = &text.as_number(&operands[0]);
    let (zero, one, minus) = (text.number(0.0), text.number(1.0), text.number(-1.0));
    let (above, below) = (text.compare(Compare::Greater, value, &zero), text.compare(Compare::Less, value, &zero));
    let rest = text.select(&below, &minus, value);
    text.select(&above, &one, &rest)
}

fn round_even(text: &mut Text, operands: &[Value]) -> Value {
    numbers("math.roundeven")(text, operands)
}

fn round_bf16(text: &mut Text, operands: &[Value]) -> Value {
    let value = text.as_number(&operands[0]);
    let narrow = text.convert("arith.truncf", &value, "bf16");
    text.convert("arith.extf", &narrow, "f32")
}

/// Rounds toward zero and clamps to -128 to 127; NaN becomes 0.
fn truncate_s8(text: &mut Text, operands: &[Value]) -> Value {
    let value = &text.as_number(&operands[0]);
    let (low, high, zero) = (text.number(-128.0), text.number(127.0), text.number(0.0));
    let is_number = text.compare(Compare::Equal, value, value);
    let known = text.select(&is_number, value, &zero);
    let raised = text.same("arith.maximumf", &[&known, &low]);
    let inside = text.same("arith.minimumf", &[&raised, &high]);
    let whole = text.convert("arith.fptosi", &inside, "i32");
    text.convert("arith.sitofp", &whole, "f32")
}
