//! Errors of a trace, each with the caller's line. Knows nothing of what the operations mean.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};

/// How messages name a place, where the program that shows them knows better than file and line.
static NAMING: OnceLock<fn(&Location<'_>) -> Option<String>> = OnceLock::new();

/// Lets `naming` say how messages name a place; where it says `None`, that is file, line and column. For programs whose readers
/// do not know the files that were compiled. The first call counts.
pub fn name_places(naming: fn(&Location<'_>) -> Option<String>) {
    let _ = NAMING.set(naming);
}

/// What messages call a place.
pub fn place_name(place: &Location<'_>) -> String {
    let named = NAMING.get().and_then(|naming| naming(place));
    named.unwrap_or_else(|| place.to_string())
}

/// Why an operation does not accept its operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The label of the constraint in the StableHLO specification (`C10`), or `""` where the specification has none.
    pub constraint: &'static str,
    /// What is wrong, naming the types at hand.
    pub message: String,
}

impl Violation {
    /// A violation of the constraint with this label.
    pub fn new(constraint: &'static str, message: impl Into<String>) -> Violation {
        Violation { constraint, message: message.into() }
    }
}

/// One wrong call in a traced program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphError {
    /// The operation that was called.
    pub op: String,
    /// What is wrong with the call.
    pub violation: Violation,
    /// Where the caller stands.
    pub place: &'static Location<'static>,
    /// The module path the call was made under, or `""`.
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

/// Every root error of a trace, in the order in which the calls were made.
///
/// `Debug` prints what `Display` does, as `unwrap` and `main` show an error by it.
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
