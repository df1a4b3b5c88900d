//! Runs tests with threads in ThreadSanitizer, which finds data races in instrumented code: this project's and Rust's standard library. A
//! plugin is not instrumented, so tests that load one are left out.

use std::process::{Command, Stdio};

use crate::jupyter::finish;
use crate::project::{Result, root};

/// Packages, and filters of their tests with threads: recordings that one thread reads and another bins; the thread pool of kernels, arrays
/// that a device borrows, the thread of a compilation, the lock of a run's folder, the connections of a run of several processes.
const TESTS: [(&str, &[&str]); 2] = [
    ("spiq-events", &["edges", "packing"]),
    ("spiq", &["pjrt::buffer", "pjrt::ffi", "pjrt::watch", "pjrt::kv", "kernel_calls", "train::folder"]),
];

/// What the sanitizer runs on.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs the tests, or prints why they cannot run.
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

/// Whether the nightly toolchain has the standard library's sources, which are rebuilt with instrumentation.
fn has_sources() -> bool {
    let printed = nightly("rustc").args(["--print", "sysroot"]).stderr(Stdio::null()).output();
    let Ok(printed) = printed else { return false };
    let folder = String::from_utf8_lossy(&printed.stdout).trim().to_owned();
    printed.status.success() && std::path::Path::new(&folder).join("lib/rustlib/src/rust/library/std").is_dir()
}

fn tests(package: &str, filters: &[&str]) -> Command {
    let mut command = nightly("cargo");
    command.args(["test", "-Zbuild-std", "--target", TARGET, "--package", package]);
    // The integration tests of `spiq` load a plugin.
    if package == "spiq" {
        command.arg("--lib");
    } else {
        command.arg("--tests");
    }
    command.arg("--").args(filters).current_dir(root());
    // A separate folder, because builds of two compilers would invalidate each other. Optimized, because the sanitizer is slow.
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
