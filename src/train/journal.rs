//! What a run has yet to hear from its device: losses and tests, written down in their order as they arrive. Knows nothing
//! of programs.

use std::collections::VecDeque;

use super::evaluation::{Answers, Tested};
use super::objective::Metric;
use super::options::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::pjrt::PendingArray;
use crate::provenance::OnNan;
use crate::record::{Metrics, Place, Record};

/// The history of a run, as far as it is known.
pub(super) struct Journal {
    metrics: Metrics,
    /// What tests measure.
    metric: Metric,
    /// What is done at numbers that are not finite.
    on_nan: OnNan,
    pending: VecDeque<Pending>,
    /// Losses of the epoch under way.
    epoch: Vec<f32>,
    latest: Option<f32>,
    /// The first step of which a number is not finite, where the run stops at it.
    broken: Option<usize>,
    /// Steps that were skipped.
    skipped: usize,
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
    /// Those of steps from `first` on, `count` of them, and behind them which steps were broken: f32 [2, most].
    Losses { first: usize, count: usize, losses: PendingArray },
    /// The test after an epoch.
    Test { epoch: usize, test: Answers, validation: Option<Answers> },
    /// Whether all before it is written.
    Mark,
}

impl Journal {
    /// A journal that goes on with these metrics; `epoch` are the losses of the epoch under way.
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
    /// Of kind `NotFinite` at the first step of which a number is not finite, unless it is skipped or goes on.
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

    /// The first step of which a number is not finite, where the run stops at it.
    pub(super) fn broken(&self) -> Option<usize> {
        self.broken
    }

    /// How many steps were skipped.
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
