//! Pending results of the device, losses and tests, recorded in order as they arrive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::evaluation::{Answers, Tested};
use super::objective::Metric;
use super::options::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::PendingArray;
use crate::provenance::OnNan;
use crate::record::{Metrics, Place, Record};

/// The history of a run, as far as it has arrived.
pub(super) struct Journal {
    metrics: Metrics,
    /// The metric of tests.
    metric: Metric,
    /// The response to non-finite values.
    on_nan: OnNan,
    pending: VecDeque<Pending>,
    /// Losses of the current epoch.
    epoch: Vec<f32>,
    latest: Option<f32>,
    /// The first step with a non-finite value, if the run stops at it.
    broken: Option<usize>,
    /// Number of skipped steps.
    skipped: usize,
    /// The results of the latest test and validation.
    tested: Option<Measured>,
    /// The position in the metrics at the latest mark, once all entries before it were written.
    marked: Option<Place>,
    /// The layers that were reported as silent.
    silent: BTreeSet<String>,
}

/// The results after an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) epoch: usize,
    pub(super) train_loss: f32,
    pub(super) test: f32,
    pub(super) validation: Option<f32>,
}

enum Pending {
    /// The losses of `count` steps from `first`, followed by the flags of broken steps: f32 [2, most].
    Losses { first: usize, count: usize, losses: PendingArray },
    /// The test after an epoch.
    Test { epoch: usize, test: Answers, validation: Option<Answers> },
    /// Marks that everything before it has been written.
    Mark,
}

impl Journal {
    /// A journal that continues these metrics; `epoch` contains the losses of the current epoch.
    pub(super) fn new(metrics: Metrics, metric: Metric, on_nan: OnNan, mut epoch: Vec<f32>) -> Journal {
        epoch.retain(|loss| on_nan != OnNan::Skip || loss.is_finite());
        Journal {
            metrics,
            metric,
            on_nan,
            pending: VecDeque::new(),
            epoch,
            latest: None,
            broken: None,
            skipped: 0,
            tested: None,
            marked: None,
            silent: BTreeSet::new(),
        }
    }

    /// The latest loss that has arrived.
    pub(super) fn latest(&self) -> Option<f32> {
        self.latest
    }

    /// Adds the losses of a call as pending.
    pub(super) fn expect_losses(&mut self, first: usize, count: usize, losses: PendingArray) {
        self.pending.push_back(Pending::Losses { first, count, losses });
    }

    /// Adds the test after an epoch, counted from 1, as pending.
    pub(super) fn expect_test(&mut self, epoch: usize, test: Answers, validation: Option<Answers>) {
        self.pending.push_back(Pending::Test { epoch, test, validation });
    }

    /// Marks everything that is pending so far.
    pub(super) fn mark(&mut self) {
        self.pending.push_back(Pending::Mark);
    }

    /// The position in the metrics at the latest mark that was reached; returned once.
    pub(super) fn take_marked(&mut self) -> Option<Place> {
        self.marked.take()
    }

    /// The metrics.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The results after the latest epoch; returned once.
    pub(super) fn take_measured(&mut self) -> Option<Measured> {
        self.tested.take()
    }

    /// Waits until at most `keep` entries are pending.
    ///
    /// # Errors
    /// Of kind `NotFinite` at the first step with a non-finite value, unless such steps are skipped or ignored.
    pub(super) fn read(&mut self, keep: usize, events: &mut dyn FnMut(Event)) -> Result<()> {
        while self.pending.len() > keep {
            match self.pending.pop_front().expect("more than `keep`") {
                Pending::Losses { first, count, losses } => {
                    let both = losses.wait()?.to_f64();
                    let (losses, broken) = both.split_at(both.len() / 2);
                    let steps = (first..).zip(losses).zip(broken).take(count);
                    for ((step, loss), broken) in steps {
                        self.step(step, *loss as f32, *broken != 0.0, events)?;
                    }
                }
                Pending::Mark => self.marked = Some(self.metrics.place()),
                Pending::Test { epoch, test, validation } => {
                    let losses = std::mem::take(&mut self.epoch);
                    let train_loss = losses.iter().sum::<f32>() / losses.len().max(1) as f32;
                    let Tested { metric: test_accuracy, spike_rates } = test.wait()?;
                    let validation = validation.map(|answers| answers.wait()).transpose()?.map(|tested| tested.metric);
                    let record = match self.metric.is_accuracy() {
                        true => Record::epoch(epoch as u64, train_loss, test_accuracy),
                        false => Record::measured(epoch as u64, train_loss, self.metric.name(), test_accuracy),
                    };
                    self.warn_of_silence(epoch, &spike_rates, events);
                    let record = record.with_spike_rates(&spike_rates);
                    self.metrics.write(validation.map_or(record.clone(), |value| record.with_validation(value)))?;
                    let measured = Measured { epoch, train_loss, test: test_accuracy, validation };
                    match validation {
                        // The event follows once the judge has decided whether it is the best epoch.
                        Some(_) => self.tested = Some(measured),
                        None => events(measured.event(false)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Reports each layer that does not fire in a test, once per run.
    fn warn_of_silence(&mut self, epoch: usize, rates: &BTreeMap<String, f32>, events: &mut dyn FnMut(Event)) {
        for path in rates.iter().filter(|(_, rate)| **rate == 0.0).map(|(path, _)| path) {
            if self.silent.insert(path.clone()) {
                events(Event::Note(format!(
                    "warning: {path} did not fire on any test sample after epoch {epoch}; if that does not change, lower its \
                     `threshold` or scale up its input"
                )));
            }
        }
    }

    fn step(&mut self, step: usize, loss: f32, broken: bool, events: &mut dyn FnMut(Event)) -> Result<()> {
        self.latest = Some(loss);
        if self.on_nan != OnNan::Skip || loss.is_finite() {
            self.epoch.push(loss);
        }
        self.metrics.write(Record::step(step as u64, loss))?;
        match self.on_nan {
            OnNan::Stop if broken => {
                self.broken = Some(step);
                let what = match loss.is_finite() {
                    true => format!("a gradient, a parameter or a statistic of step {step} is not finite"),
                    false => format!("the loss of step {step} is {loss}"),
                };
                Err(Error::new(ErrorKind::NotFinite, what))
            }
            OnNan::Skip if broken => {
                self.skipped += 1;
                events(Event::Skipped { step, skipped: self.skipped });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The first step with a non-finite value, if the run stops at it.
    pub(super) fn broken(&self) -> Option<usize> {
        self.broken
    }

    /// Number of skipped steps.
    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }
}

impl Measured {
    pub(super) fn event(self, is_best: bool) -> Event {
        let Measured { epoch, train_loss, test, validation } = self;
        Event::Epoch { epoch, train_loss, test_accuracy: test, validation_accuracy: validation, is_best }
    }
}
