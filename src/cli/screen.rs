//! Writes text to a terminal or a pipe that may close at any time.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use spiq::{Error, Result};

/// Writes a result to standard output. A closed pipe (`| head`) is not an error.
///
/// # Errors
/// Of kind `File` when writing fails for another reason, such as a full disk.
pub fn print(text: &str) -> Result<()> {
    if SILENT.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != ErrorKind::BrokenPipe => {
            Err(Error::file(Path::new("standard output"), "write to", cause))
        }
        _ => Ok(()),
    }
}

/// Whether progress is hidden (`--quiet`).
static QUIET: AtomicBool = AtomicBool::new(false);

/// Hides progress from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether progress is hidden.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Whether another process prints, so that this one prints only errors.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Prints only errors from now on.
pub fn be_silent() {
    be_quiet();
    SILENT.store(true, Ordering::Relaxed);
}

/// Writes a line about progress to standard error, unless progress is hidden.
pub fn progress(line: &str) {
    if !is_quiet() {
        note(line);
    }
}

/// Writes a line to standard error. A failed write is ignored: there is nowhere left to report it.
pub fn note(line: &str) {
    if !SILENT.load(Ordering::Relaxed) {
        note_at_any_rate(line);
    }
}

/// Writes a line to standard error, even if another process prints: errors.
pub fn note_at_any_rate(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Writes a line to standard error, unless it was written before.
pub fn note_once(line: &str) {
    static WRITTEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if WRITTEN.lock().unwrap_or_else(PoisonError::into_inner).insert(line.to_owned()) {
        note(line);
    }
}

/// A human-readable number of bytes.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        assert_eq!([999, 1500, 259_284_552].map(bytes), ["999 B", "1.5 kB", "259 MB"]);
    }
}
