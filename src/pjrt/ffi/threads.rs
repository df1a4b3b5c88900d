//! The threads that a call may use: its own, and those that XLA has for programs.

use super::host::Host;
use super::pool;

/// A part of a call's work, ready to run on any thread.
pub type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

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

    /// Runs tasks in any order, and returns when the last one has finished. Returns whether all of them ended without a panic.
    pub fn share(&self, tasks: Vec<Task<'_>>) -> bool {
        let helpers = tasks.len().min(self.workers).saturating_sub(1);
        pool::run_all(tasks, |task| task(), helpers, &self.host)
    }
}
