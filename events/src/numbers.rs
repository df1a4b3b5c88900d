//! Numbers that users write: which of them f32 holds, and how messages show them.

use toml::Value;

/// Whether a number is one in f32, too, in which programs compute: 0, or one with all the digits of f32.
pub fn in_f32(number: f64) -> bool {
    number == 0.0 || (number as f32).is_normal()
}

/// Whether a value is a finite number, or a list with one, that f32 does not hold.
pub fn is_out_of_f32(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_finite() && !in_f32(*number),
        Value::Array(values) => values.iter().any(is_out_of_f32),
        _ => false,
    }
}

/// What such numbers must be.
pub const HELD_BY_F32: &str = "a number that f32 holds: 0, or one from 1.2e-38 to 3.4e38 in size";

/// A value in a message: large and small numbers with an exponent.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => match number.to_string() {
            plain if plain.len() > 20 => format!("{number:e}"),
            _ => value.to_string(),
        },
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
