//! Says what is left out on this machine. Tests that pass are silent, what they print included, so this does not print as they do.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Says once that the test which calls it leaves something out, and why.
pub fn skipped(why: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // The harness names threads for their tests.
    let line = format!("SKIPPED: {}: {why}\n", std::thread::current().name().unwrap_or("a test"));
    if SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
        // Unlike `eprintln`, this is not captured. Without a place to say it, nothing is lost but the line.
        _ = std::io::stderr().write_all(line.as_bytes());
    }
}
