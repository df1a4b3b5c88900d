//! The error type outside the graph: a kind, one sentence, a cause.

use std::fmt;

use spiq_hlo::{ArrayError, GraphErrors, TreeError};

use crate::places;

/// A coarse category: it determines the exit code and lets a caller react.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Unusable user input: an argument, a file's contents, a value out of range.
    Input,
    /// A file or folder could not be read or written.
    File,
    /// A traced program is invalid; the message contains every error with its location.
    Graph,
    /// A PJRT plugin is missing, broken or for another machine.
    Plugin,
    /// PJRT returned an error; the number is its status code.
    Pjrt(i32),
    /// Training encountered an infinite value or NaN.
    NotFinite,
    /// Another process of a run of several processes was lost.
    Lost,
    /// Ctrl-C or another signal: the work was saved and stopped.
    Interrupted,
}

/// An error with one clear sentence and an optional cause.
///
/// `Debug` prints the same as `Display`, because `unwrap` and `main` use it.
pub struct Error {
    kind: ErrorKind,
    message: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `std::result::Result` with this library's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`. `message` is one sentence with the problem and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), cause: None }
    }

    /// Bad input: exit code 2.
    pub fn input(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Input, message)
    }

    /// A file or folder that could not be read or written: exit code 2.
    pub fn file(path: &std::path::Path, doing: &str, cause: std::io::Error) -> Error {
        Error::new(ErrorKind::File, format!("cannot {doing} {}", path.display())).because(cause)
    }

    /// The same error with its cause.
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.cause = Some(cause.into());
        self
    }

    /// The error's category.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// An error of reading recordings, with the same message.
impl From<spiq_events::Error> for Error {
    fn from(error: spiq_events::Error) -> Error {
        match error {
            spiq_events::Error::File { action, path, cause } => Error::file(&path, action, cause),
            other => Error::input(other.to_string()),
        }
    }
}

/// The errors of a trace as one error, of kind [`Graph`](ErrorKind::Graph).
impl From<GraphErrors> for Error {
    fn from(errors: GraphErrors) -> Error {
        places::name_cells();
        Error::new(ErrorKind::Graph, errors.to_string())
    }
}

/// An array whose values do not fit its shape or type, of kind [`Input`](ErrorKind::Input).
impl From<ArrayError> for Error {
    fn from(error: ArrayError) -> Error {
        Error::input(error.to_string())
    }
}

/// Trees that differ, of kind [`Input`](ErrorKind::Input).
impl From<TreeError> for Error {
    fn from(error: TreeError) -> Error {
        Error::input(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|c| c as _)
    }
}
