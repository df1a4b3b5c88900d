//! Checkpoints during training: the carry is copied from the device asynchronously, and written by another thread once the metrics up to
//! that point are written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spiq_hlo::Array;

use super::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::{Buffer, PendingArray};
use crate::provenance::{Best, OnNan, Provenance};
use crate::record::Place;
use crate::train::checkpoint::{Checkpoint, first_not_finite};
use crate::train::checkpoints::{CHECKPOINT, put};
use crate::train::options::Event;
use crate::train::resume::WRITTEN;
use crate::train::start;

/// Checkpoints may stall training for at most one part in this many of its time.
const MOST_WAITING: u32 = 50;

/// The schedule of checkpoints, and the one in progress.
pub(super) struct Saving {
    every: Duration,
    /// When the carry of the latest checkpoint was copied.
    begun: Instant,
    /// How long the latest one took from then until it was in place, and for how long it stalled training.
    took: Duration,
    waited: Duration,
    /// A copy that waits for the metrics.
    copied: Option<Copied>,
    writing: Option<Writing>,
    /// The step of the checkpoint that is in place.
    in_place: Option<usize>,
    /// Whether the latest one could not be written.
    failed: bool,
}

struct Copied {
    step: usize,
    at: Instant,
    values: Vec<PendingArray>,
    best: Option<(Best, BTreeMap<String, Array>)>,
}

struct Writing {
    step: usize,
    at: Instant,
    values: Vec<Array>,
    thread: JoinHandle<Result<PathBuf>>,
}

impl Saving {
    /// Starts the schedule now; `in_place` is the step of an existing checkpoint.
    pub(super) fn new(every: Duration, in_place: Option<usize>) -> Saving {
        Saving {
            every,
            begun: Instant::now(),
            took: Duration::ZERO,
            waited: Duration::ZERO,
            copied: None,
            writing: None,
            in_place,
            failed: false,
        }
    }

    fn is_due(&self) -> bool {
        // Starts early enough that the checkpoint is in place in time; the disk rests at least as long as it works.
        let wanted = self.every.saturating_sub(self.took.min(self.every / 2));
        let least = (self.waited * MOST_WAITING).max(self.took * 2);
        self.copied.is_none() && self.writing.is_none() && self.begun.elapsed() >= wanted.max(least)
    }
}

impl<'s, 'a: 's> Run<'s, 'a> {
    /// Starts copying the carry if a checkpoint is due. The copy excludes the effects of later steps.
    pub(super) fn copy_if_due(&mut self) -> Result<()> {
        if !self.together.writes() || !self.saving.is_due() {
            return Ok(());
        }
        let at = Instant::now();
        let values = self.state[0].iter().map(Buffer::start_to_host).collect::<Result<_>>()?;
        let best = self.judge.as_ref().and_then(|judge| Some((judge.best()?, judge.arrays()?.clone())));
        self.saving.copied = Some(Copied { step: self.done, at, values, best });
        self.saving.begun = at;
        self.saving.waited = at.elapsed();
        // A checkpoint must not be ahead of the metrics.
        self.journal.mark();
        Ok(())
    }

    /// Advances a checkpoint in progress without waiting: starts writing a copy once its metrics are written, and finishes a completed
    /// write.
    pub(super) fn go_on_saving(&mut self, events: &mut dyn FnMut(Event)) -> Result<()> {
        if self.saving.writing.as_ref().is_some_and(|writing| writing.thread.is_finished()) {
            self.end_writing(events)?;
        }
        if let Some(place) = self.journal.take_marked()
            && let Some(copied) = self.saving.copied.take()
        {
            let waiting = Instant::now();
            self.write(copied, place)?;
            self.saving.waited += waiting.elapsed();
        }
        Ok(())
    }

    fn write(&mut self, copied: Copied, place: Place) -> Result<()> {
        let Copied { step, at, values, best } = copied;
        let values: Vec<Array> = values.into_iter().map(PendingArray::wait).collect::<Result<_>>()?;
        let checkpoint = self.checkpoint(step, &values, best.as_ref(), place);
        let read: Vec<String> = checkpoint.arrays.keys().filter(|path| self.kept.is_read(path)).cloned().collect();
        let (folder, metrics) = (self.options.out.clone(), self.journal.metrics().handle());
        let on_nan = self.options.on_nan;
        let work = move || {
            check(on_nan, step, read.iter().filter_map(|path| checkpoint.arrays.get_key_value(path)))?;
            // After a crash of the machine, the metrics must still reach this far.
            _ = metrics.map(|file| file.sync_data());
            put(&folder, &checkpoint)
        };
        let spawned = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(work);
        let thread = spawned.map_err(|cause| Error::file(&self.options.out.join(CHECKPOINT), "write", cause))?;
        self.saving.writing = Some(Writing { step, at, values, thread });
        Ok(())
    }

    /// Waits for the checkpoint in progress. A failed write does not end the run.
    ///
    /// # Errors
    /// Of kind `NotFinite` if its contents are not finite.
    pub(super) fn end_writing(&mut self, events: &mut dyn FnMut(Event)) -> Result<()> {
        let Some(Writing { step, at, values, thread }) = self.saving.writing.take() else { return Ok(()) };
        let outcome = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.saving.took = at.elapsed();
        match outcome {
            Ok(_) => {
                self.saving.in_place = Some(step);
                self.good = (step, values);
                if std::mem::take(&mut self.saving.failed) {
                    events(Event::Note(format!(
                        "checkpoints can be written again; the checkpoint of step {step} is in place"
                    )));
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::File => {
                if !std::mem::replace(&mut self.saving.failed, true) {
                    let left = self.left();
                    events(Event::Note(format!("{error}; {left}; training continues and will retry")));
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Describes the checkpoint that is in place.
    pub(super) fn left(&self) -> String {
        match self.saving.in_place {
            Some(step) => format!("the checkpoint of step {step} is still in place"),
            None => "there is no checkpoint yet".to_owned(),
        }
    }

    /// Writes a checkpoint of the current state, and waits for it.
    pub(super) fn save(&mut self, events: &mut dyn FnMut(Event)) -> Result<()> {
        self.journal.read(0, events)?;
        if !self.together.writes() {
            return Ok(());
        }
        self.saving.copied = None;
        self.journal.take_marked();
        self.end_writing(events)?;
        let values: Vec<Array> = self.state[0].iter().map(Buffer::to_array).collect::<Result<_>>()?;
        let best = self.judge.as_ref().and_then(|judge| Some((judge.best()?, judge.arrays()?.clone())));
        let checkpoint = self.checkpoint(self.done, &values, best.as_ref(), self.journal.metrics().place());
        check(self.options.on_nan, self.done, checkpoint.arrays.iter().filter(|(path, _)| self.kept.is_read(path)))?;
        _ = self.journal.metrics().handle().map(|file| file.sync_data());
        put(&self.options.out, &checkpoint)?;
        self.saving.in_place = Some(self.done);
        self.good = (self.done, values);
        Ok(())
    }

    /// The checkpoint of these values; `place` is the end of their metrics.
    fn checkpoint(
        &self,
        step: usize,
        values: &[Array],
        best: Option<&(Best, BTreeMap<String, Array>)>,
        place: Place,
    ) -> Checkpoint {
        let mut arrays: BTreeMap<String, Array> = self.kept.paths().zip(values.iter().cloned()).collect();
        arrays.extend(best.into_iter().flat_map(|(_, arrays)| start::as_of_best(arrays)));
        let provenance = Provenance { best: best.map(|(best, _)| *best), ..self.provenance.clone() };
        let mut metadata = BTreeMap::from([(WRITTEN.to_owned(), place.to_string())]);
        Provenance { step: Some(step as u64), ..provenance }.write(&mut metadata);
        Checkpoint { arrays, metadata }
    }
}

/// Checks that everything that predictions read is finite, unless the run ignores non-finite values.
pub(super) fn check<'a>(
    on_nan: OnNan,
    step: usize,
    arrays: impl IntoIterator<Item = (&'a String, &'a Array)>,
) -> Result<()> {
    if on_nan == OnNan::Continue {
        return Ok(());
    }
    match first_not_finite(arrays) {
        Some(number) => {
            let message = format!("after step {} {number}", step.saturating_sub(1));
            Err(Error::new(ErrorKind::NotFinite, message))
        }
        None => Ok(()),
    }
}
