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

/// A task for another thread: a function and what it is called with, once at most.
pub struct Job {
    pub task: unsafe extern "C" fn(*mut c_void),
    pub data: *mut c_void,
}

// SAFETY: the data is a reference to a `Shared<T>` of a `T: Send`, which is behind a lock.
unsafe impl Send for Job {}

/// Threads that can be handed jobs.
///
/// # Safety
/// Where `take` returns true, the job's task is called with its data once at most; where it returns false, never.
pub unsafe trait Helpers {
    /// Hands a job to one of them; whether they take it. A job that is taken and never called leaks memory, and nothing else.
    fn take(&self, job: Job) -> bool;
}

/// Runs all tasks, here and on `count` of the `helpers`, and returns when the last is done.
///
/// This thread takes tasks as long as any waits, so that it never depends on a thread that is busy elsewhere. Returns whether all
/// tasks ended without a panic.
pub fn run_all<T: Send>(tasks: Vec<T>, run: fn(T), count: usize, helpers: &impl Helpers) -> bool {
    let state = State { open: tasks.len(), waiting: tasks, panicked: false };
    // A helper may come after this function returned, when what tasks borrow is gone: then it finds no task and touches
    // nothing but this allocation, which it owns a part of. To drop that touches no `T`: the list of tasks is empty by then, as this
    // function returns when all of them have run.
    let shared = Arc::new(Shared { state: Mutex::new(state), all_done: Condvar::new(), run });
    for _ in 0..count {
        let data = Arc::into_raw(shared.clone());
        if !helpers.take(Job { task: help::<T>, data: data.cast_mut().cast() }) {
            // SAFETY: nobody took the job, as `Helpers` promises, so the reference is still ours.
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

    /// Calls a job, as it asks.
    fn call(job: Job) {
        // SAFETY: the job was taken, and is called here alone.
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

    /// Those who come when all is over.
    #[derive(Default)]
    struct Late(RefCell<Vec<Job>>);

    // SAFETY: a job is called when it is taken out of the list, so once.
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

    /// Under Miri: neither a task that is gone nor what it borrowed is touched, and nothing leaks.
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
