//! Being stopped: by Ctrl-C, by SIGTERM (a batch system or container whose time is over), by SIGHUP (a terminal that was closed).
//! Each of them asks the command to save its work and end.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::screen;

/// The signal that was heard first; 0 before.
static HEARD: AtomicI32 = AtomicI32::new(0);

/// Ctrl-C.
const INTERRUPT: i32 = 2;

/// A flag that becomes true at the first signal, when `said` is called too. Ctrl-C after that ends the process, in case a device no longer
/// answers; other signals come twice without anybody's wish, as when a terminal is closed.
pub fn stop_flag(said: impl Fn() + Send + 'static) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    listen(move |signal| {
        let again = HEARD.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed).is_err();
        if again && signal == INTERRUPT {
            // A compilation may still run, which an orderly exit would take the ground from.
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

/// How long a signal waits for the command to stop, before its first step. Tracing and lowering a large program take longer, and check no flag.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is printed where a signal ends the command because it has nothing to save; `None` while it has.
static UNSAVED: Mutex<Option<String>> = Mutex::new(None);

/// While it lives, the command has nothing to save: a signal that it does not obey in [`PATIENCE`] ends the process.
pub struct Unsaved(());

impl Unsaved {
    /// From now on, with the sentence that a signal prints.
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

/// Ends the process after [`PATIENCE`], if it then has nothing to save.
fn end_unless_stopped() {
    std::thread::sleep(PATIENCE);
    // Held until the end: no step begins meanwhile.
    let unsaved = unsaved();
    if let Some(sentence) = &*unsaved {
        screen::note(&format!("error: stopped by {}: {sentence}", name()));
        spiq::pjrt::end_process(exit_code());
    }
}

/// What stopped the command, in words.
pub fn name() -> &'static str {
    match HEARD.load(Ordering::Relaxed) {
        15 => "SIGTERM",
        1 => "SIGHUP",
        _ => "Ctrl-C",
    }
}

/// The exit code of a command that was stopped, as shells have it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
pub fn exit_code() -> u8 {
    let signal = HEARD.load(Ordering::Relaxed);
    128 + u8::try_from(signal).ok().filter(|signal| *signal > 0).unwrap_or(INTERRUPT as u8)
}

/// Calls `heard` with each signal, from a thread of its own. Without one signals end the process as they always do.
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

/// Whether who started the command wants it to go on after a signal, as `nohup` does. Only Linux says so without unsafe code.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
