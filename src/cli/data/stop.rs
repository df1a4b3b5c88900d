//! A signal while a file is written: nothing half-written stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spiq::{Error, ErrorKind, Result};

use crate::cli::signals;

/// A flag that Ctrl-C and other signals set, so that the temporary file is removed before the process ends. A second Ctrl-C ends it at once.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from now on.
    pub fn at_signals() -> Stop {
        Stop(signals::stop_flag(|| {}))
    }

    /// Whether to go on. The error only ends the writing: [`outcome`](Stop::outcome) has the one that is shown.
    pub fn check(&self) -> spiq_events::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(spiq_events::Error::input("stopped")),
            false => Ok(()),
        }
    }

    /// What writing came to. A file that was whole before a signal was heard stays.
    ///
    /// # Errors
    /// Of kind `Interrupted` after a signal; else those of writing.
    pub fn outcome<T>(&self, written: spiq_events::Result<T>) -> Result<T> {
        match (written, self.check()) {
            (Err(_), Err(_)) => {
                let message = format!("stopped by {}; nothing was written", signals::name());
                Err(Error::new(ErrorKind::Interrupted, message))
            }
            (written, _) => Ok(written?),
        }
    }
}
