//! Runs the tests of threads that need no plugin under ThreadSanitizer, which finds data races in the instrumented code: ours and Rust's library.
//! A plugin's code is not instrumented, so that tests that load one are left out.

use std::process::{Command, Stdio};

use crate::jupyter::finish;
use crate::project::{Result, root};

/// Tests of code that several threads run at once: XLA's threads in a kernel's pool, arrays that a device holds, a compilation that is waited for,
/// processes that install a plugin, events that are read beside the frames that they go into.
const TESTS: [(&str, &[&str]); 2] = [
    ("spiq", &["pjrt::buffer", "pjrt::ffi", "pjrt::watch", "kernel_calls", "train::folder"]),
    ("spiq-events", &["edges", "packing"]),
];

/// What the sanitizer runs on.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs them; prints why where the sanitizer cannot run.
pub(crate) fn run() -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("SKIPPED: ThreadSanitizer is set up for {TARGET} alone");
        return Ok(());
    }
    if !has_sources() {
        println!("SKIPPED: the sources of Rust's library for the nightly compiler are missing; install them with");
        println!("  rustup toolchain install nightly --profile minimal --component rust-src");
        return Ok(());
    }
    TESTS.iter().try_for_each(|(package, filters)| finish(&mut tests(package, filters)))
}

/// Whether the nightly compiler can build Rust's library anew, instrumented.
fn has_sources() -> bool {
    let printed = nightly("rustc").args(["--print", "sysroot"]).stderr(Stdio::null()).output();
    let Ok(printed) = printed else { return false };
    let folder = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    printed.status.success() && std::path::Path::new(&folder).join("lib/rustlib/src/rust/library/std").is_dir()
}

fn tests(package: &str, filters: &[&str]) -> Command {
    let mut command = nightly("cargo");
    command.args(["test", "-Zbuild-std", "--target", TARGET, "--package", package]);
    // Only the library's own tests of `spiq` are of threads without a plugin.
    if package == "spiq" {
        command.arg("--lib");
    } else {
        command.arg("--tests");
    }
    command.arg("--").args(filters).current_dir(root());
    // Another compiler's files would make each build of this one start anew. The sanitizer takes its time, so that tests run optimized.
    command
        .env("RUSTFLAGS", "-Zsanitizer=thread -Copt-level=1")
        .env("TSAN_OPTIONS", "halt_on_error=1")
        .env("CARGO_TARGET_DIR", root().join("target/tsan"));
    command
}

/// A program of the nightly toolchain. Cargo sets these variables for what it runs, and rustup obeys them rather than `+nightly`.
fn nightly(program: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("+nightly").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}
