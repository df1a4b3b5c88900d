//! The first failure of a run of several processes, which ends all waits.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind};

/// The first character of the message of a process that ended by itself, because of its input or for another reason. The message of a process
/// that was lost has none.
const MISTAKE: char = '\u{1}';
const ENDED: char = '\u{2}';

/// The message of a process that ends with this error, for all others.
pub(super) fn message_of(process: usize, error: &Error) -> String {
    let sentence = format!("process {process} ended: {error}");
    match error.kind() {
        ErrorKind::Input | ErrorKind::File | ErrorKind::Graph | ErrorKind::Plugin => mistake(&sentence),
        _ => format!("{ENDED}{sentence}"),
    }
}

/// The message of a run that ends because of its input.
pub(super) fn mistake(sentence: &str) -> String {
    format!("{MISTAKE}{sentence}")
}

/// The error that a message means for the processes that receive it.
pub(super) fn error_of(message: &str) -> Error {
    if let Some(sentence) = message.strip_prefix(MISTAKE) {
        return Error::input(sentence);
    }
    if let Some(sentence) = message.strip_prefix(ENDED) {
        return Error::new(ErrorKind::Lost, sentence);
    }
    let advice = "start all processes again, with --resume if there is a checkpoint";
    Error::new(ErrorKind::Lost, format!("{message}; {advice}"))
}

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
    /// The message of the failure; `None` while nothing has failed.
    pub(super) fn sentence(&self) -> Option<String> {
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
