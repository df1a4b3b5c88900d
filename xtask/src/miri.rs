//! Runs the tests of `unsafe` code that need no plugin in Miri, which detects undefined behaviour, data races and leaks.

use std::process::{Command, Stdio};

use crate::jupyter::finish;
use crate::project::{Result, root};

/// Tests of calls through a plugin's table and of callbacks from XLA, including the kernels it calls.
const TESTS: [&str; 4] = ["pjrt::abi", "pjrt::buffer", "pjrt::ffi", "kernel_calls"];
/// Tests with threads, run in several interleavings.
const RACES: [&str; 1] = ["pjrt::ffi::pool"];

/// Runs the tests; reports if Miri is not installed.
pub(crate) fn run() -> Result<()> {
    if !is_there() {
        println!("SKIPPED: Miri is not installed; install it with");
        println!("  rustup toolchain install nightly --profile minimal --component miri --component rust-src");
        return Ok(());
    }
    finish(&mut tests("-Zmiri-strict-provenance", &TESTS))?;
    finish(&mut tests("-Zmiri-strict-provenance -Zmiri-many-seeds=0..8", &RACES))
}

fn is_there() -> bool {
    let mut asked = Command::new("cargo");
    asked.args(["+nightly", "miri", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    // Cargo sets these for its subprocesses, and rustup prefers them to `+nightly`.
    asked.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").status().is_ok_and(|status| status.success())
}

fn tests(flags: &str, filters: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "miri", "test", "--package", "spiq", "--lib", "--"]).args(filters).current_dir(root());
    // With a shared target folder, each build would invalidate the other compiler's files.
    command
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("MIRIFLAGS", flags)
        .env("CARGO_TARGET_DIR", root().join("target/miri"));
    command
}
