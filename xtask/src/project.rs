//! Where the project lies, and how a chore fails.

use std::path::{Path, PathBuf};

/// A chore's outcome: what went wrong, in a sentence.
pub type Result<T> = std::result::Result<T, String>;

/// The folder of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project").to_owned()
}
