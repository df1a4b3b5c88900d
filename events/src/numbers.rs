//! Numbers in user input: which ones fit into f32, and how messages print them.

use toml::Value;

/// Whether f32, in which programs compute, also holds the number: 0, or a normal number.
pub fn in_f32(number: f64) -> bool {
    number == 0.0 || (number as f32).is_normal()
}

/// Whether a value is a finite number, or a list with one, that f32 cannot hold.
pub fn is_out_of_f32(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_finite() && !in_f32(*number),
        Value::Array(values) => values.iter().any(is_out_of_f32),
        _ => false,
    }
}

/// The requirement, for messages.
pub const HELD_BY_F32: &str = "a number in f32's range: 0, or a magnitude from 1.2e-38 to 3.4e38";

/// A value for a message: very large and small numbers in exponent notation.
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
