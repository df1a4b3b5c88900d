//! Definitions that are chosen by name, as a command line does: one row each, in a table beside the definitions; and the
//! arguments that a name may take.

mod arguments;

pub use arguments::{Arguments, BETWEEN, DECAY, FINITE, NOT_NEGATIVE, NumbersOr, POSITIVE, SHARE, Span};
pub(crate) use arguments::{chosen, chosen_one};

use crate::error::{Error, Result};
pub use crate::fields::nearest;

/// One row: a name, and what it makes.
#[derive(Clone, Copy, Debug)]
pub struct Choice<T> {
    /// The name on a command line and in files.
    pub name: &'static str,
    /// A help text, on the name; empty where the name says it all.
    pub about: &'static str,
    /// The definition.
    pub make: T,
}

/// The row of this name.
///
/// # Errors
/// Of kind `Input` for a name that the table lacks; it says the nearest and all there are. `what` calls what is chosen: `optimizer`.
pub(crate) fn find<T>(what: &str, table: &'static [Choice<T>], name: &str) -> Result<&'static Choice<T>> {
    table.iter().find(|row| row.name == name).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|row| row.name).collect();
        let hint =
            nearest(name, names.iter().copied()).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        Error::input(format!("there is no {what} `{name}`; {hint}available: {}", names.join(", ")))
    })
}
