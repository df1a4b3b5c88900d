//! Reports what is skipped on this machine. The harness captures the output of passing tests, so this writes to stderr directly.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Reports once that the calling test skips something, and why.
pub fn skipped(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // The harness names threads after their tests.
    let line = format!("SKIPPED: {}: {why}\n", std::thread::current().name().unwrap_or("a test"));
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
        // Unlike `eprintln`, this is not captured. If stderr is unavailable, only the line is lost.
        _ = std::io::stderr().write_all(line.as_bytes());
    }
}
