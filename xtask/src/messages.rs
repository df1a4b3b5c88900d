//! `cargo xtask messages`: writes docs/messages.md, which a test compares with what the command prints.

use std::process::Command;

use crate::jupyter::finish;
use crate::project::{Result, root};

/// The test that makes the page, which writes it where this variable is set.
const TEST: &str = "command::messages";
const UPDATE: &str = "UPDATE_EXPECT";

/// Writes the page.
pub fn update() -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["test", "--release", "--package", "spiq", "--test", "all", TEST]);
    finish(command.env(UPDATE, "1").current_dir(root()))
}
