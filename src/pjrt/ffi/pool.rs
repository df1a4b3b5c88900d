//! Shares tasks between this thread and those of XLA. Knows nothing of what the tasks do.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Tasks that wait, and how many are not done.
struct Shared<T> {
    state: Mutex<State<T>>,
    all_done: Condvar,
    run: fn(T),
}

struct State<T> {
    waiting: Vec<T>,
    open: usize,
    panicked: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs tasks as long as any waits.
    fn help(&self) {
        loop {
            let Some(task) = self.lock().waiting.pop() else { return };
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.run)(task)));
            let mut state = self.lock();
            state.panicked |= outcome.is_err();
            state.open -= 1;
            if state.open == 0 {
                self.all_done.notify_all();
            }
        }
    }
}

/// What XLA calls on one of its threads.
///
/// # Safety
/// `data` is the result of `Arc::into_raw` for a `Shared<T>`, given away.
unsafe extern "C" fn help<T: Send>(data: *mut c_void) {
    // SAFETY: the caller's promise.
    let shared = unsafe { Arc::from_raw(data.cast::<Shared<T>>()) };
    shared.help();
}

/// A task for one of XLA's threads: a function and what it is called with, exactly once.
pub struct Job {
    pub task: unsafe extern "C" fn(*mut c_void),
    pub data: *mut c_void,
}

/// Runs all tasks, here and on `helpers` threads that `schedule` reaches, and returns when the last is done.
///
/// This thread takes tasks as long as any waits, so that it never depends on a thread that is busy elsewhere. `schedule` says
/// whether it takes the job. Returns whether all tasks ended without a panic.
pub fn run_all<T: Send>(tasks: Vec<T>, run: fn(T), helpers: usize, schedule: &dyn Fn(&Job) -> bool) -> bool {
    let state = State { open: tasks.len(), waiting: tasks, panicked: false };
    // A helper may come after this function returned, when what tasks borrow is gone: then it finds no task and touches
    // nothing but this allocation, which it owns a part of.
    let shared = Arc::new(Shared { state: Mutex::new(state), all_done: Condvar::new(), run });
    for _ in 0..helpers {
        let data = Arc::into_raw(shared.clone());
        if !schedule(&Job { task: help::<T>, data: data.cast_mut().cast() }) {
            // SAFETY: nobody took the job, so the reference is still ours.
            drop(unsafe { Arc::from_raw(data) });
        }
    }
    shared.help();
    let mut state = shared.lock();
    while state.open > 0 {
        state = shared.all_done.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    !state.panicked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread(job: &Job) -> bool {
        let (task, data) = (job.task, job.data as usize);
        // SAFETY: the job is called once, as it asks.
        std::thread::spawn(move || unsafe { task(data as *mut c_void) });
        true
    }

    #[test]
    fn every_task_runs_once() {
        for helpers in 0..4 {
            let mut counts = vec![0u32; 100];
            assert!(run_all(counts.iter_mut().collect(), |count| *count += 1, helpers, &on_a_thread));
            assert!(counts.iter().all(|count| *count == 1));
        }
    }

    #[test]
    fn a_helper_that_nobody_takes_is_not_needed() {
        let mut counts = vec![0u32; 10];
        assert!(run_all(counts.iter_mut().collect(), |count| *count += 1, 3, &|_| false));
        assert_eq!(counts, [1; 10]);
    }

    #[test]
    fn a_panic_is_told() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let fine = run_all(vec![1, 2, 3], |n| assert_ne!(n, 2), 2, &on_a_thread);
        std::panic::set_hook(hook);
        assert!(!fine);
    }
}
