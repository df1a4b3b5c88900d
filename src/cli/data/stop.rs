//! Handles signals while a file is written, so that no partial file remains.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use spiq::{Error, ErrorKind, Result};

use crate::cli::signals;

/// A flag set by Ctrl-C and other signals, so that the temporary file is removed before the process ends. A second Ctrl-C ends it at once.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Installs the signal handler.
    pub fn at_signals() -> Stop {
        Stop(signals::stop_flag(|| {}))
    }

    /// Whether to continue. The error only ends the writing; [`outcome`](Stop::outcome) returns the one to show.
    pub fn check(&self) -> spiq_events::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(spiq_events::Error::input("stopped")),
            false => Ok(()),
        }
    }

    /// The result of writing. A file completed before the signal is kept.
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
