//! Handles Ctrl-C, SIGTERM (the time limit of a batch system or container) and SIGHUP (a closed terminal). Each asks the command to save
//! its work and end.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::screen;

/// The first signal received; 0 before.
static HEARD: AtomicI32 = AtomicI32::new(0);

/// Ctrl-C.
const INTERRUPT: i32 = 2;

/// Returns a flag that the first signal sets; that signal also calls `said`. A second Ctrl-C ends the process, in case a device no longer
/// responds. Other signals do not: closing a terminal, for example, can send one twice.
pub fn stop_flag(said: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    listen(move |signal| {
        let again = HEARD.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_err();
        if again && signal == INTERRUPT {
            // A compilation may still be running; an orderly exit would destroy what it uses.
            spiq::pjrt::end_process(130);
        }
        flag.store(true, Ordering::Relaxed);
        if !again {
            said();
            drop(std::thread::Builder::new().name("patience".to_owned()).spawn(end_unless_stopped));
        }
    });
    stop
}

/// Time between a signal before the first step and the end of the process. Tracing and lowering a large program can take longer, and do not
/// check for signals.
const PATIENCE: Duration = Duration::from_secs(2);

/// The message for a signal while the command has nothing to save; `None` while it has.
static UNSAVED: Mutex<Option<String>> = Mutex::new(None);

/// Marks a command with nothing to save: until it is dropped, a signal ends the process after [`PATIENCE`].
pub struct Unsaved(());

impl Unsaved {
    /// `sentence` is the message for a signal.
    pub fn new(sentence: String) -> Unsaved {
        *unsaved() = Some(sentence);
        Unsaved(())
    }
}

impl Drop for Unsaved {
    fn drop(&mut self) {
        *unsaved() = None;
    }
}

fn unsaved() -> MutexGuard<'static, Option<String>> {
    UNSAVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process after [`PATIENCE`] if it has nothing to save by then.
fn end_unless_stopped() {
    std::thread::sleep(PATIENCE);
    // The lock is held until the process ends, so no step can start in between.
    let unsaved = unsaved();
    if let Some(sentence) = &*unsaved {
        screen::note(&format!("error: stopped by {}: {sentence}", name()));
        spiq::pjrt::end_process(exit_code());
    }
}

/// Whether this process has received a signal.
pub fn is_heard() -> bool {
    HEARD.load(Ordering::Relaxed) != 0
}

/// The name of the signal that stopped the command.
pub fn name() -> &'static str {
    match HEARD.load(Ordering::Relaxed) {
        15 => "SIGTERM",
        1 => "SIGHUP",
        _ => "Ctrl-C",
    }
}

/// The conventional exit code of a stopped command: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
pub fn exit_code() -> u8 {
    let signal = HEARD.load(Ordering::Relaxed);
    128 + u8::try_from(signal).ok().filter(|signal| *signal > 0).unwrap_or(INTERRUPT as u8)
}

/// Calls `heard` with each signal, on a separate thread. If the handler cannot be installed, signals end the process as usual.
#[cfg(unix)]
fn listen(heard: impl Fn(i32) + Send + 'static) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| *signal != SIGHUP || !is_ignored(SIGHUP));
    let Ok(mut signals) = signal_hook::iterator::Signals::new(wanted) else { return };
    let spawned = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        signals.forever().for_each(heard);
    });
    drop(spawned);
}

#[cfg(not(unix))]
fn listen(heard: impl Fn(i32) + Send + 'static) {
    drop(ctrlc::set_handler(move || heard(INTERRUPT)));
}

/// Whether the parent process had the command ignore a signal, as `nohup` does. Without unsafe code, only Linux exposes this.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
