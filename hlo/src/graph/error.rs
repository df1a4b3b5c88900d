//! Errors of a trace, each with the caller's source line.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};

/// User-defined names of source places in messages, for programs that can do better than file and line.
static NAMING: OnceLock<fn(&Location<'_>) -> Option<String>> = OnceLock::new();

/// Sets how messages name a place; where `naming` returns `None`, messages show file, line and column. For programs whose users
/// do not have the compiled source files, such as notebooks. Only the first call takes effect.
pub fn name_places(naming: fn(&Location<'_>) -> Option<String>) {
    let _ = NAMING.set(naming);
}

/// The name of a place in messages.
pub fn place_name(place: &Location<'_>) -> String {
    let named = NAMING.get().and_then(|naming| naming(place));
    named.unwrap_or_else(|| place.to_string())
}

/// Why an operation rejects its operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The label of the constraint in the StableHLO specification (`C10`), or `""` where the specification has none.
    pub constraint: &'static str,
    /// The description of the fault, with the types involved.
    pub message: String,
}

impl Violation {
    /// A violation of the constraint with this label.
    pub fn new(constraint: &'static str, message: impl Into<String>) -> Violation {
        Violation { constraint, message: message.into() }
    }
}

/// One invalid call in a traced program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// The operation that was called.
    pub op: String,
    /// The fault.
    pub violation: Violation,
    /// The source location of the caller.
    pub place: &'static Location<'static>,
    /// The module path under which the call was made, or `""`.
    pub scope: Arc<str>,
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.violation.message)?;
        if !self.violation.constraint.is_empty() {
            write!(f, " [{}]", self.violation.constraint)?;
        }
        write!(f, " --> {}", place_name(self.place))?;
        if !self.scope.is_empty() {
            write!(f, " ({})", self.scope)?;
        }
        Ok(())
    }
}

/// Every root error of a trace, in call order.
///
/// `Debug` prints the same text as `Display`, because `unwrap` and `main` print errors with `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct GraphErrors(pub Vec<GraphError>);

impl fmt::Display for GraphErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(GraphError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Debug for GraphErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for GraphErrors {}
