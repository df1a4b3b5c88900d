//! What a run has yet to hear from its device: losses and tests, written down in their order as they arrive. Knows nothing
//! of programs.

use std::collections::VecDeque;

use super::evaluation::{Answers, Tested};
use super::objective::Metric;
use super::options::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::PendingArray;
use crate::record::{Metrics, Place, Record};

/// The history of a run, as far as it is known.
pub(super) struct Journal {
    metrics: Metrics,
    /// What tests measure.
    metric: Metric,
    pending: VecDeque<Pending>,
    /// Losses of the epoch under way.
    epoch: Vec<f32>,
    latest: Option<f32>,
    /// The first step whose loss is not finite, and that loss.
    broken: Option<(usize, f32)>,
    /// What the latest test and validation measured.
    tested: Option<Measured>,
    /// How far the metrics were written when all before the latest mark was.
    marked: Option<Place>,
}

/// What was measured after an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) epoch: usize,
    pub(super) train_loss: f32,
    pub(super) test: f32,
    pub(super) validation: Option<f32>,
}

enum Pending {
    /// Those of steps from `first` on, `count` of them.
    Losses { first: usize, count: usize, losses: PendingArray },
    /// The test after an epoch.
    Test { epoch: usize, test: Answers, validation: Option<Answers> },
    /// Whether all before it is written.
    Mark,
}

impl Journal {
    /// A journal that goes on with these metrics; `epoch` are the losses of the epoch under way.
    pub(super) fn new(metrics: Metrics, metric: Metric, epoch: Vec<f32>) -> Journal {
        Journal {
            metrics,
            metric,
            pending: VecDeque::new(),
            epoch,
            latest: None,
            broken: None,
            tested: None,
            marked: None,
        }
    }

    /// The latest loss that has arrived.
    pub(super) fn latest(&self) -> Option<f32> {
        self.latest
    }

    /// Expects the losses of a call.
    pub(super) fn expect_losses(&mut self, first: usize, count: usize, losses: PendingArray) {
        self.pending.push_back(Pending::Losses { first, count, losses });
    }

    /// Expects the test after an epoch, counted from 1.
    pub(super) fn expect_test(&mut self, epoch: usize, test: Answers, validation: Option<Answers>) {
        self.pending.push_back(Pending::Test { epoch, test, validation });
    }

    /// Marks what is expected until here.
    pub(super) fn mark(&mut self) {
        self.pending.push_back(Pending::Mark);
    }

    /// How far the metrics were written when all before the mark was, once.
    pub(super) fn take_marked(&mut self) -> Option<Place> {
        self.marked.take()
    }

    /// The metrics.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What was measured after the latest epoch, once.
    pub(super) fn take_measured(&mut self) -> Option<Measured> {
        self.tested.take()
    }

    /// Waits until no more than `keep` entries are still to come.
    ///
    /// # Errors
    /// Of kind `NotFinite` at the first loss that is not finite.
    pub(super) fn read(&mut self, keep: usize, events: &mut dyn FnMut(Event)) -> Result<()> {
        while self.pending.len() > keep {
            match self.pending.pop_front().expect("more than `keep`") {
                Pending::Losses { first, count, losses } => {
                    let losses = losses.wait()?.to_f64();
                    (first..).zip(&losses[..count]).try_for_each(|(step, loss)| self.step(step, *loss as f32))?;
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
                    let record = record.with_spike_rates(&spike_rates);
                    self.metrics.write(validation.map_or(record.clone(), |value| record.with_validation(value)))?;
                    let measured = Measured { epoch, train_loss, test: test_accuracy, validation };
                    match validation {
                        // Whether it is the best one is told by whom it is judged by.
                        Some(_) => self.tested = Some(measured),
                        None => events(measured.event(false)),
                    }
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, step: usize, loss: f32) -> Result<()> {
        self.latest = Some(loss);
        self.epoch.push(loss);
        self.metrics.write(Record::step(step as u64, loss))?;
        match loss.is_finite() {
            true => Ok(()),
            false => {
                self.broken = Some((step, loss));
                Err(Error::new(ErrorKind::NotFinite, format!("the loss of step {step} is {loss}")))
            }
        }
    }

    /// The first step whose loss is not finite, and that loss.
    pub(super) fn broken(&self) -> Option<(usize, f32)> {
        self.broken
    }
}

impl Measured {
    pub(super) fn event(self, is_best: bool) -> Event {
        let Measured { epoch, train_loss, test, validation } = self;
        Event::Epoch { epoch, train_loss, test_accuracy: test, validation_accuracy: validation, is_best }
    }
}
