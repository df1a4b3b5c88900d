//! Definitions selected by name, as on a command line: a table with one row per definition, and the arguments that a name takes.

mod arguments;

pub use arguments::{Arguments, BETWEEN, DECAY, FINITE, NOT_NEGATIVE, NumbersOr, POSITIVE, SHARE, Span};
pub(crate) use arguments::{chosen, chosen_one};

use crate::error::{Error, Result};
pub use crate::fields::nearest;

/// One row: a name and its definition.
#[derive(Clone, Copy, Debug)]
pub struct Choice<T> {
    /// The name on a command line and in files.
    pub name: &'static str,
    /// Help text for the name; empty if the name is self-explanatory.
    pub about: &'static str,
    /// The definition.
    pub make: T,
}

/// The row of this name.
///
/// # Errors
/// Of kind `Input` for an unknown name; the message contains the nearest and all existing ones. `what` is the kind of definition:
/// `optimizer`.
pub(crate) fn find<T>(what: &str, table: &'static [Choice<T>], name: &str) -> Result<&'static Choice<T>> {
    table.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|row| row.name).collect();
        let hint =
            nearest(name, names.iter().copied()).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        Error::input(format!("there is no {what} `{name}`; {hint}available: {}", names.join(", ")))
    })
}
