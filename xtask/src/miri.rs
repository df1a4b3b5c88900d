//! Runs the tests of the code that is `unsafe`, as far as they need no plugin, in Miri, which finds undefined behaviour, data races and leaks.

use std::process::{Command, Stdio};

use crate::jupyter::finish;
use crate::project::{Result, root};

/// Tests of calls through a plugin's table and of calls that XLA makes, with the kernels that it calls.
const TESTS: [&str; 4] = ["pjrt::abi", "pjrt::buffer", "pjrt::ffi", "kernel_calls"];
/// Tests with threads, which run in several orders.
const RACES: [&str; 1] = ["pjrt::ffi::pool"];

/// Runs them; where there is no Miri, says so.
pub(crate) fn run() -> Result<()> {
    if !is_there() {
        println!("SKIPPED: there is no Miri; install it with");
        println!("  rustup toolchain install nightly --profile minimal --component miri --component rust-src");
        return Ok(());
    }
    finish(&mut tests("-Zmiri-strict-provenance", &TESTS))?;
    finish(&mut tests("-Zmiri-strict-provenance -Zmiri-many-seeds=0..8", &RACES))
}

fn is_there() -> bool {
    let mut asked = Command::new("cargo");
    asked.args(["+nightly", "miri", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    // Cargo sets these for what it runs, and rustup obeys them rather than `+nightly`.
    asked.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN").status().is_ok_and(|status| status.success())
}

fn tests(flags: &str, filters: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "miri", "test", "--package", "spiq", "--lib", "--"]).args(filters).current_dir(root());
    // Another compiler's files would make each build of this one start anew.
    command
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("MIRIFLAGS", flags)
        .env("CARGO_TARGET_DIR", root().join("target/miri"));
    command
}
