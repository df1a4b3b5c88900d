//! Waits for compilations, with a time limit, cancellation and progress reports.
//!
//! PJRT cannot cancel a compilation, so each runs on a separate thread; an abandoned one continues there until the process ends.

use std::fmt;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::folders::variable;
use crate::error::{Error, ErrorKind, Result};

/// The variable with the time limit of a compilation in seconds; `0`: no limit.
const SECONDS: &str = "SPIQ_COMPILE_SECONDS";

/// The default time limit: large programs for a card take several minutes.
const DEFAULT: Duration = Duration::from_secs(3600);

/// How often the stop flag and the time limit are checked.
const TICK: Duration = Duration::from_millis(50);

/// Stack size for the compiler's recursion, which is deep for deep programs; only the used part is committed.
const STACK: usize = 64 << 20;

/// PJRT's status code for an exceeded time limit.
const DEADLINE_EXCEEDED: i32 = 4;

/// Number of running compilations, including abandoned ones.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// A compilation that is running or has just ended.
#[derive(Clone, Copy, Debug)]
pub struct Compiling<'a> {
    /// The program's name.
    pub program: &'a str,
    /// The time since its start.
    pub elapsed: Duration,
    /// Whether it has ended.
    pub ended: bool,
}

/// Receives the progress of a compilation, several times a second and at its end, on the thread that waits for it.
pub type Progress = Arc<dyn Fn(Compiling<'_>) + Send + Sync>;

/// The policy for waiting on compilations. By default, up to the limit in `SPIQ_COMPILE_SECONDS` (one hour if unset), without progress.
#[derive(Clone, Default)]
pub struct Watch {
    /// When this becomes true, waiting stops.
    pub stop: Option<Arc<AtomicBool>>,
    /// Receives the progress.
    pub progress: Option<Progress>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl Watch {
    /// Waits for a compilation.
    ///
    /// # Errors
    /// Those of `compile`; kind `Interrupted` when stopped; kind `Pjrt` (deadline exceeded) after the limit; kind `Input` if the variable
    /// is not a number.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        program: &str,
        compile: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let limit = limit()?;
        let (send, receive) = mpsc::channel();
        RUNNING.fetch_add(1, Ordering::SeqCst);
        let thread = std::thread::Builder::new().name("compilation".to_owned()).stack_size(STACK).spawn(move || {
            let running = Running;
            let made = compile();
            drop(running);
            // The receiver may be gone.
            drop(send.send(made));
        });
        let thread = thread.map_err(|cause| {
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Error::input("cannot start a thread to compile on").because(cause)
        })?;
        let start = Instant::now();
        let tell = |ended| {
            if let Some(progress) = &self.progress {
                progress(Compiling { program, elapsed: start.elapsed(), ended });
            }
        };
        let made = loop {
            match receive.recv_timeout(TICK) {
                Ok(made) => break made,
                Err(RecvTimeoutError::Disconnected) => match thread.join() {
                    Err(panicked) => panic::resume_unwind(panicked),
                    Ok(()) => unreachable!("the thread sends before it ends"),
                },
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                break Err(Error::new(ErrorKind::Interrupted, format!("stopped while compiling {program}")));
            }
            if limit.is_some_and(|limit| start.elapsed() >= limit) {
                break Err(took_too_long(program, start.elapsed()));
            }
            tell(false);
        };
        tell(true);
        made
    }
}

/// Counts a running compilation until it is dropped.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

fn took_too_long(program: &str, elapsed: Duration) -> Error {
    let seconds = elapsed.as_secs().max(1);
    Error::new(
        ErrorKind::Pjrt(DEADLINE_EXCEEDED),
        format!(
            "{program} was still compiling after {seconds} s and was abandoned; a shorter tile (--time-tile), fewer steps per call, \
             fewer layers or smaller sizes make a program that compiles faster; to allow more time, set {SECONDS} ({}, or 0 for \
             no limit)",
            seconds.saturating_mul(4)
        ),
    )
}

/// The time limit of a compilation; `None`: no limit.
fn limit() -> Result<Option<Duration>> {
    let Some(text) = variable(SECONDS) else { return Ok(Some(DEFAULT)) };
    let seconds = text.to_str().and_then(|text| text.trim().parse::<u32>().ok());
    match seconds {
        Some(0) => Ok(None),
        Some(seconds) => Ok(Some(Duration::from_secs(seconds.into()))),
        None => Err(Error::input(format!(
            "{SECONDS} is `{}`, but must be a whole number of seconds, or 0 for no limit",
            text.to_string_lossy()
        ))),
    }
}

/// The name of a module in StableHLO text.
pub(super) fn name_of(text: &str) -> String {
    let named = text.strip_prefix("module @").and_then(|rest| rest.split([' ', '{', '\n']).next());
    named.filter(|name| !name.is_empty()).map_or_else(|| "the program".to_owned(), |name| format!("`{name}`"))
}

/// Whether a compilation is running, including abandoned ones and those that other threads wait for.
pub fn is_compiling() -> bool {
    RUNNING.load(Ordering::SeqCst) > 0
}

/// Ends the process immediately with this exit code. [`std::process::exit`] would destroy state that a running compilation still uses,
/// which may hang or crash. Unwritten output is lost.
pub fn end_process(code: u8) -> ! {
    unsafe extern "C" {
        safe fn _exit(code: std::ffi::c_int) -> !;
    }
    _exit(code.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_module_is_found() {
        assert_eq!(name_of("module @train_steps {\n}"), "`train_steps`");
        assert_eq!(name_of("func.func @main"), "the program");
    }

    #[test]
    fn what_is_compiled_comes_back_and_what_stops_does_not_wait() {
        let watch = Watch::default();
        assert_eq!(watch.wait("a", || Ok(3)).expect("a number"), 3);
        let error = watch.wait("a", || Err::<(), _>(Error::input("no"))).expect_err("its error");
        assert_eq!(error.to_string(), "no");
        let stop = Arc::new(AtomicBool::new(true));
        let (told, hears) = mpsc::channel();
        let progress: Progress = Arc::new(move |compiling| told.send(compiling.ended).expect("heard"));
        let watch = Watch { stop: Some(stop), progress: Some(progress) };
        let (open, opened) = mpsc::channel::<()>();
        let start = Instant::now();
        let error = watch.wait("`a`", move || opened.recv().or(Ok(()))).expect_err("it stops");
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Interrupted, "stopped while compiling `a`"));
        assert!(start.elapsed() < Duration::from_secs(5) && is_compiling());
        assert_eq!(hears.iter().next(), Some(true));
        drop(open);
    }

    #[test]
    #[should_panic(expected = "in the compiler")]
    fn a_panic_is_passed_on() {
        drop(Watch::default().wait::<()>("a", || panic!("in the compiler")));
    }
}
