//! The error type of this crate.

use std::path::{Path, PathBuf};

/// What can go wrong with recordings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    File {
        /// What was tried: `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Contents or options are not usable: one sentence that says what to do.
    #[error("{0}")]
    Input(String),
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of what the user gave, in one sentence.
    pub fn input(sentence: impl Into<String>) -> Error {
        Error::Input(sentence.into())
    }

    /// An error of the system about a file.
    pub fn file(action: &'static str, path: &Path, cause: std::io::Error) -> Error {
        Error::File { action, path: path.to_owned(), cause }
    }
}
