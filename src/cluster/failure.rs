//! The first failure of a run of several processes. It ends every wait.

use std::sync::{Arc, Mutex, PoisonError};

type Told = Box<dyn Fn(&str) + Send>;

/// The first failure, shared by everything that waits for other processes.
#[derive(Clone, Default)]
pub struct Failure(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sentence: Option<String>,
    told: Vec<Told>,
    /// Whether this process has left the run, so that the end of others is none of its concern.
    over: bool,
}

impl Failure {
    /// The sentence that says what happened; `None` while all is well.
    pub fn sentence(&self) -> Option<String> {
        self.state().sentence.clone()
    }

    /// Calls a function with the first failure: now, if it has happened.
    pub fn when_it_happens(&self, told: impl Fn(&str) + Send + 'static) {
        let mut state = self.state();
        match &state.sentence {
            Some(sentence) => told(sentence),
            None => state.told.push(Box::new(told)),
        }
    }

    /// Records a failure, unless there was one or the run is over.
    pub(super) fn happens(&self, sentence: &str) {
        let told = {
            let mut state = self.state();
            if state.sentence.is_some() || state.over {
                return;
            }
            state.sentence = Some(sentence.to_owned());
            std::mem::take(&mut state.told)
        };
        told.iter().for_each(|told| told(sentence));
    }

    /// From now on, nothing is a failure.
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
