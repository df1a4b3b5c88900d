//! The project's folder, and the result type of tasks.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The first word of messages about an unknown command, flag or name: exit code 2.
pub const UNKNOWN: &str = "unknown";

/// The result of a task; the error is a sentence.
pub type Result<T> = std::result::Result<T, String>;

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the project").to_owned()
}

/// Builds the `spiq` command, with the features for which the workspace's tests are already built.
pub fn build_spiq() -> Result<()> {
    let arguments = ["build", "--release", "--workspace", "--bin", "spiq"];
    let status = Command::new("cargo").args(arguments).current_dir(root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err("spiq failed to build".to_owned()),
    }
}
