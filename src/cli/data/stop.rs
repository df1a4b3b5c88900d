//! Ctrl-C while a file is written: nothing half-written stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spiq::{Error, ErrorKind, Result};

/// A flag that Ctrl-C sets, so that the temporary file is removed before the process ends. The second one ends it at once.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on.
    pub fn at_ctrl_c() -> Stop {
        let stop = Stop(Arc::new(AtomicBool::new(false)));
        let flag = stop.0.clone();
        let set = ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
        // Without a handler Ctrl-C ends the process as it always does.
        drop(set);
        stop
    }

    /// Whether to go on. The error only ends the writing: [`outcome`](Stop::outcome) has the one that is shown.
    pub fn check(&self) -> spiq_events::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(spiq_events::Error::input("stopped by Ctrl-C")),
            false => Ok(()),
        }
    }

    /// What writing came to. A file that was whole before Ctrl-C was heard stays.
    ///
    /// # Errors
    /// Of kind `Interrupted` after Ctrl-C; else those of writing.
    pub fn outcome<T>(&self, written: spiq_events::Result<T>) -> Result<T> {
        match (written, self.check()) {
            (Err(_), Err(_)) => Err(Error::new(ErrorKind::Interrupted, "stopped by Ctrl-C; nothing was written")),
            (written, _) => Ok(written?),
        }
    }
}
