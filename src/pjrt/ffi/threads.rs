//! The threads that a call may use: its own, and those that XLA has for programs.

use super::host::Host;
use super::pool;
use super::vector::{self, Work};

/// This thread and XLA's.
#[derive(Clone, Copy)]
pub struct Threads<'a> {
    host: Host<'a>,
    workers: usize,
}

impl<'a> Threads<'a> {
    pub(super) fn of(host: Host<'a>) -> Threads<'a> {
        Threads { host, workers: host.workers() }
    }

    /// The number of threads.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Runs parts in any order with this CPU's widest vector instructions, and returns when the last one has finished. Returns whether
    /// all of them ended without a panic.
    pub fn share<W: Work>(&self, parts: Vec<W>) -> bool {
        let helpers = parts.len().min(self.workers).saturating_sub(1);
        pool::run_all(parts, vector::run, helpers, &self.host)
    }
}
