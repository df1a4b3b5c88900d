//! Why a rule is refused, and the field responsible, so that messages can point to its line in a file.

use std::fmt;

/// An invalid rule.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The invalid field.
    pub(super) field: &'static str,
    /// The reason, in one sentence.
    pub(super) message: String,
}

impl Refusal {
    /// A refusal of this field's value.
    pub(super) fn of(field: &'static str, message: impl fmt::Display) -> Refusal {
        Refusal { field, message: message.to_string() }
    }
}
