//! Chooses the validation samples of a run and judges which epoch is best.

use std::collections::BTreeMap;

use spiq_hlo::Array;

use super::journal::Measured;
use super::model::Model;
use super::objective::Metric;
use super::options::Options;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::provenance::{Best, Patience, Validation};
use crate::random::Key;

/// The training samples, and those that choose the best epoch, which are drawn from `fold_in(PRNGKey(seed), 2^32 - 1)`.
pub(super) fn parts(options: &Options<dyn Model>) -> Result<(Dataset, Option<Dataset>)> {
    let (train, key) = (&options.train, Key::new(options.seed).fold_in(u32::MAX));
    let held_out = |count| train.held_out(count, key).map(|(held, rest)| (rest, Some(held)));
    match options.validation {
        Validation::None => Ok((train.clone(), None)),
        Validation::Own => match train.own_validation() {
            Some(own) => Ok((train.clone(), Some(own))),
            None => Err(Error::input(
                "the data set has no validation part (metadata entry `validation`); give a fraction or a number of its \
                 training samples",
            )),
        },
        Validation::Share(share) => held_out((share * train.count() as f64).round() as usize),
        Validation::Samples(count) => held_out(count),
        Validation::Fold { number, of } => {
            if number == 0 {
                return Err(Error::input("folds are counted from 1"));
            }
            train.fold(number - 1, of, key).map(|(held, rest)| (rest, Some(held)))
        }
    }
}

/// The best epoch so far, with its parameters and statistics, and the patience for a better one.
pub(super) struct Judge {
    metric: Metric,
    patience: Patience,
    best: Option<(Best, BTreeMap<String, Array>)>,
}

impl Judge {
    /// A judge that continues with the previous best epoch, if there is one.
    pub(super) fn new(options: &Options<dyn Model>, best: Option<(Best, BTreeMap<String, Array>)>) -> Judge {
        Judge { metric: options.metric.clone(), patience: options.patience, best }
    }

    /// The new best epoch, if these results are better than the best so far.
    pub(super) fn better(&self, now: Measured) -> Option<Best> {
        let value = now.validation.filter(|value| !value.is_nan())?;
        let best = Best { epoch: now.epoch, validation_accuracy: value, test_accuracy: now.test };
        let better = self.best().is_none_or(|then| self.metric.is_better(value, then.validation_accuracy));
        better.then_some(best)
    }

    /// Records an epoch as the best one, with its parameters and statistics.
    pub(super) fn keep(&mut self, best: Best, arrays: BTreeMap<String, Array>) {
        self.best = Some((best, arrays));
    }

    pub(super) fn best(&self) -> Option<Best> {
        self.best.as_ref().map(|(best, _)| *best)
    }

    /// The best epoch's parameters and statistics, by path.
    pub(super) fn arrays(&self) -> Option<&BTreeMap<String, Array>> {
        self.best.as_ref().map(|(_, arrays)| arrays)
    }

    /// Whether the patience is exhausted after this many epochs.
    pub(super) fn has_waited(&self, epochs: usize) -> bool {
        let Patience::Epochs(patience) = self.patience else { return false };
        epochs - self.best().map_or(0, |best| best.epoch).min(epochs) >= patience
    }
}
