//! Where the project lies, and how a chore fails.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A chore's outcome: what went wrong, in a sentence.
pub type Result<T> = std::result::Result<T, String>;

/// The folder of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project").to_owned()
}

/// Builds the command, with the features that the tests of the workspace have built already.
pub fn build_spiq() -> Result<()> {
    let arguments = ["build", "--release", "--workspace", "--bin", "spiq"];
    let status = Command::new("cargo").args(arguments).current_dir(root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err("spiq does not build".to_owned()),
    }
}
