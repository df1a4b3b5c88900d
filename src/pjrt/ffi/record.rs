//! Records the calls of handlers, with their times.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::frame::Call;

/// A recorded call.
pub struct Run {
    /// What it computed.
    pub name: String,
    /// Bytes of its operands and results.
    pub bytes: u64,
    /// The number of its operations, where it is known.
    pub operations: Option<u64>,
    /// Its duration.
    pub time: Duration,
    /// The duration of counting its operations, which is not a part of the program.
    pub counting: Duration,
}

static IS_RECORDING: AtomicBool = AtomicBool::new(false);
static RUNS: Mutex<Vec<Run>> = Mutex::new(Vec::new());
/// Held during a recording.
static TURN: Mutex<()> = Mutex::new(());

/// Records the calls of all handlers during `work`, of this process's other programs too.
pub fn record<T>(work: impl FnOnce() -> T) -> (T, Vec<Run>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    runs().clear();
    IS_RECORDING.store(true, Ordering::Relaxed);
    let result = work();
    IS_RECORDING.store(false, Ordering::Relaxed);
    (result, std::mem::take(&mut *runs()))
}

fn runs() -> std::sync::MutexGuard<'static, Vec<Run>> {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a call, and records it if there is a recording.
pub(super) fn timed<'a, T>(
    call: Call<'a>,
    name: impl FnOnce(&Call<'a>) -> String,
    operations: impl FnOnce(&Call<'a>) -> Option<u64>,
    run: impl FnOnce(Call<'a>) -> T,
) -> T {
    if !IS_RECORDING.load(Ordering::Relaxed) {
        return run(call);
    }
    let asked = Instant::now();
    let (name, bytes, operations) = (name(&call), call.bytes(), operations(&call));
    let counting = asked.elapsed();
    let start = Instant::now();
    let result = run(call);
    runs().push(Run { name, bytes, operations, time: start.elapsed(), counting });
    result
}
