//! Errors of a trace, each with the caller's line. Knows nothing of what the operations mean.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

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
        write!(f, " --> {}", self.place)?;
        if !self.scope.is_empty() {
            write!(f, " ({})", self.scope)?;
        }
        Ok(())
    }
}

/// Every root error of a trace, in the order in which the calls were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphErrors(pub Vec<GraphError>);

impl fmt::Display for GraphErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(GraphError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for GraphErrors {}
