//! Why a rule is refused, and which of its fields says what is wrong: a file then names that field's line.

use std::fmt;

/// A rule that is not usable.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The field that is wrong.
    pub(super) field: &'static str,
    /// Why, in one sentence.
    pub(super) message: String,
}

impl Refusal {
    /// A refusal of what this field says.
    pub(super) fn of(field: &'static str, message: impl fmt::Display) -> Refusal {
        Refusal { field, message: message.to_string() }
    }
}
