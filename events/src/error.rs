//! The error type of this crate.

use std::path::{Path, PathBuf};

/// Errors of reading, converting and writing recordings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    File {
        /// The attempted action: `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: std::io::Error,
    },
    /// Unusable contents or options: one sentence with what to do.
    #[error("{0}")]
    Input(String),
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error in the user's input, as one sentence.
    pub fn input(sentence: impl Into<String>) -> Error {
        Error::Input(sentence.into())
    }

    /// A system error for a file.
    pub fn file(action: &'static str, path: &Path, cause: std::io::Error) -> Error {
        Error::File { action, path: path.to_owned(), cause }
    }
}
