//! Shares tasks between this thread and XLA's threads.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Waiting tasks, and the number of unfinished ones.
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

    /// Runs tasks until none is waiting.
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

/// The function that XLA calls on one of its threads.
///
/// # Safety
/// `data` is the result of `Arc::into_raw` for a `Shared<T>`, and ownership passes to this function.
unsafe extern "C" fn help<T: Send>(data: *mut c_void) {
    // SAFETY: guaranteed by the caller.
    let shared = unsafe { Arc::from_raw(data.cast::<Shared<T>>()) };
    shared.help();
}

/// A function for another thread and its argument; it is called at most once.
pub struct Job {
    pub task: unsafe extern "C" fn(*mut c_void),
    pub data: *mut c_void,
}

// SAFETY: the data is a reference to a `Shared<T>` with `T: Send`, which is behind a lock.
unsafe impl Send for Job {}

/// Threads that accept jobs.
///
/// # Safety
/// If `take` returns true, the job's task is called with its data at most once; if it returns false, never.
pub unsafe trait Helpers {
    /// Hands a job to one of the threads; returns whether it is accepted. An accepted job that is never called only leaks memory.
    fn take(&self, job: Job) -> bool;
}

/// Runs all tasks, here and on `count` of the `helpers`, and returns when the last one has finished.
///
/// This thread runs waiting tasks as well, so it never depends on a thread that is busy elsewhere. Returns whether all tasks ended
/// without a panic.
pub fn run_all<T: Send>(tasks: Vec<T>, run: fn(T), count: usize, helpers: &impl Helpers) -> bool {
    let state = State { open: tasks.len(), waiting: tasks, panicked: false };
    // A helper may start after this function has returned, when the data borrowed by tasks is gone: then it finds no task and touches
    // only this allocation, which it co-owns. Dropping that touches no `T`: the list of tasks is empty by then, because this
    // function returns only after all of them have run.
    let shared = Arc::new(Shared { state: Mutex::new(state), all_done: Condvar::new(), run });
    for _ in 0..count {
        let data = Arc::into_raw(shared.clone());
        if !helpers.take(Job { task: help::<T>, data: data.cast_mut().cast() }) {
            // SAFETY: the job was not accepted, so by the contract of `Helpers` we still own the reference.
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
    use std::cell::RefCell;

    use super::*;

    /// Calls a job.
    fn call(job: Job) {
        // SAFETY: the job was accepted, and is called only here.
        unsafe { (job.task)(job.data) }
    }

    #[derive(Default)]
    struct OwnThreads(RefCell<Vec<std::thread::JoinHandle<()>>>);

    // SAFETY: each job is called once.
    unsafe impl Helpers for OwnThreads {
        fn take(&self, job: Job) -> bool {
            self.0.borrow_mut().push(std::thread::spawn(move || call(job)));
            true
        }
    }

    impl Drop for OwnThreads {
        fn drop(&mut self) {
            self.0.take().into_iter().for_each(|thread| thread.join().expect("a job does not panic"));
        }
    }

    struct Nobody;

    // SAFETY: no job is called.
    unsafe impl Helpers for Nobody {
        fn take(&self, _: Job) -> bool {
            false
        }
    }

    /// Helpers that start after everything is finished.
    #[derive(Default)]
    struct Late(RefCell<Vec<Job>>);

    // SAFETY: a job is called when it is removed from the list, so at most once.
    unsafe impl Helpers for Late {
        fn take(&self, job: Job) -> bool {
            self.0.borrow_mut().push(job);
            true
        }
    }

    #[test]
    fn every_task_runs_once() {
        for helpers in 0..4 {
            let mut counts = vec![0u32; 100];
            assert!(run_all(counts.iter_mut().collect(), |count| *count += 1, helpers, &OwnThreads::default()));
            assert!(counts.iter().all(|count| *count == 1));
        }
    }

    #[test]
    fn a_helper_that_nobody_takes_is_not_needed() {
        let mut counts = vec![0u32; 10];
        assert!(run_all(counts.iter_mut().collect(), |count| *count += 1, 3, &Nobody));
        assert_eq!(counts, [1; 10]);
    }

    /// Under Miri: neither a finished task nor the data it borrowed is touched, and nothing leaks.
    #[test]
    fn a_helper_may_come_when_all_is_over() {
        struct Task<'a>(&'a mut String);
        impl Drop for Task<'_> {
            fn drop(&mut self) {
                self.0.push('.');
            }
        }
        let late = Late::default();
        let mut texts = vec![String::new(); 3];
        assert!(run_all(texts.iter_mut().map(Task).collect(), |task| task.0.push('x'), 2, &late));
        assert_eq!(texts, ["x."; 3]);
        drop(texts);
        let jobs = late.0.take();
        assert_eq!(jobs.len(), 2);
        jobs.into_iter().for_each(call);
    }

    #[test]
    fn a_panic_is_told() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let fine = run_all(vec![1, 2, 3], |n| assert_ne!(n, 2), 2, &OwnThreads::default());
        std::panic::set_hook(hook);
        assert!(!fine);
    }
}
