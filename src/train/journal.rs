//! What a run has yet to hear from its device: losses and tests, written down in their order as they arrive. Knows nothing
//! of programs.

use std::collections::VecDeque;

use super::evaluation::{Answers, Tested};
use super::objective::Metric;
use super::options::Event;
use crate::error::Result;
use crate::pjrt::PendingArray;
use crate::record::{Metrics, Record};

/// The history of a run, as far as it is known.
pub(super) struct Journal {
    metrics: Metrics,
    /// What tests measure.
    metric: Metric,
    pending: VecDeque<Pending>,
    /// Losses of the epoch under way.
    epoch: Vec<f32>,
    latest: Option<f32>,
}

enum Pending {
    /// Those of steps from `first` on, `count` of them.
    Losses { first: usize, count: usize, losses: PendingArray },
    /// The test after an epoch.
    Test { epoch: usize, answers: Answers },
}

impl Journal {
    /// A journal that goes on with these metrics; `epoch` are the losses of the epoch under way.
    pub(super) fn new(metrics: Metrics, metric: Metric, epoch: Vec<f32>) -> Journal {
        Journal { metrics, metric, pending: VecDeque::new(), epoch, latest: None }
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
    pub(super) fn expect_test(&mut self, epoch: usize, answers: Answers) {
        self.pending.push_back(Pending::Test { epoch, answers });
    }

    /// Waits until no more than `keep` entries are still to come.
    pub(super) fn read(&mut self, keep: usize, events: &mut dyn FnMut(Event)) -> Result<()> {
        while self.pending.len() > keep {
            match self.pending.pop_front().expect("more than `keep`") {
                Pending::Losses { first, count, losses } => {
                    let losses = losses.wait()?.to_f64();
                    (first..).zip(&losses[..count]).try_for_each(|(step, loss)| self.step(step, *loss as f32))?;
                }
                Pending::Test { epoch, answers } => {
                    let losses = std::mem::take(&mut self.epoch);
                    let train_loss = losses.iter().sum::<f32>() / losses.len().max(1) as f32;
                    let Tested { metric: test_accuracy, spike_rates } = answers.wait()?;
                    let record = match self.metric.is_accuracy() {
                        true => Record::epoch(epoch as u64, train_loss, test_accuracy),
                        false => Record::measured(epoch as u64, train_loss, self.metric.name(), test_accuracy),
                    };
                    self.metrics.write(record.with_spike_rates(&spike_rates))?;
                    events(Event::Epoch { epoch, train_loss, test_accuracy });
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, step: usize, loss: f32) -> Result<()> {
        self.latest = Some(loss);
        self.epoch.push(loss);
        self.metrics.write(Record::step(step as u64, loss))
    }
}
