//! The first failure of a run of several processes, which ends all waits.

use std::sync::{Arc, Mutex, PoisonError};

type Callback = Box<dyn Fn(&str) + Send>;

/// The first failure, shared by everything that waits for other processes.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sentence: Option<String>,
    callbacks: Vec<Callback>,
    /// Whether this process has left the run, so that failures of others no longer matter.
    over: bool,
}

impl Failure {
    /// The error message; `None` while nothing has failed.
    pub fn sentence(&self) -> Option<String> {
        self.state().sentence.clone()
    }

    /// Registers a callback for the first failure. If it has happened already, the callback runs at once.
    pub fn when_it_happens(&self, callback: impl Fn(&str) + Send + 'static) {
        let mut state = self.state();
        match &state.sentence {
            Some(sentence) => callback(sentence),
            None => state.callbacks.push(Box::new(callback)),
        }
    }

    /// Records a failure, unless there was one or the run is over.
    pub(super) fn happens(&self, sentence: &str) {
        let callbacks = {
            let mut state = self.state();
            if state.sentence.is_some() || state.over {
                return;
            }
            state.sentence = Some(sentence.to_owned());
            std::mem::take(&mut state.callbacks)
        };
        callbacks.iter().for_each(|callback| callback(sentence));
    }

    /// Ignores all failures from now on.
    pub(super) fn is_over(&self) {
        self.state().over = true;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Failure({:?})", self.sentence())
    }
}
