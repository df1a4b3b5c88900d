//! Prepares what the programs of a run are built from, before anything is compiled or written.

use std::sync::Arc;

use spiq_hlo::{Array, Function};

use super::model::Model;
use super::objective::Loss;
use super::options::Options;
use super::programs::{self, Changes, Plan, ROWS};
use super::resident::Resident;
use super::start::Kept;
use super::validation;
use crate::compile::{Program, Sharding};
use crate::data::{Dataset, Encoding};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::optim::GradientTransformation;
use crate::signature::Signature;

/// The number of steps that a program for calls of at most `most` steps is compiled for: at least two, since the compiler turns a loop over
/// a single row into a different program, whose results differ in the last bits.
pub(super) fn room(most: usize) -> usize {
    most.max(2)
}

/// The largest number of steps per call, if the options give none.
const MOST_STEPS: usize = 32;

/// The sizes of a run, its optimizer, and the layout of its samples on the device.
pub(super) struct Prepared<'a> {
    options: &'a Options<dyn Model>,
    /// The unquantized network, if the rules start later.
    full: Option<Network>,
    pub(super) plan: Plan<'a>,
    pub(super) optimizer: Arc<dyn GradientTransformation>,
    /// Samples and labels of the training file.
    pub(super) kept: [Array; 2],
    /// The training samples, and those that choose the best epoch.
    pub(super) train: Dataset,
    pub(super) validation: Option<Dataset>,
    /// Steps per epoch, and in total.
    pub(super) per_epoch: usize,
    pub(super) total: usize,
    /// The largest number of steps per call; the program has [`room`] for them.
    pub(super) most: usize,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(options: &'a Options<dyn Model>) -> Result<Prepared<'a>> {
        let (train, validation) = validation::parts(options)?;
        let per_epoch = train.training_order(options.batch_size, None)?.len() / options.batch_size;
        let total = programs::total_steps(options.length, per_epoch);
        let full = unquantized(options, total)?;
        let accumulate = options.optimizer.around().accumulate;
        if accumulate > total {
            return Err(Error::input(format!(
                "an optimizer step takes {accumulate} batches, but the run has only {total}, so nothing would be learned; \
                 accumulate fewer (--accumulate), or train longer"
            )));
        }
        let inputs = options.train.inputs();
        let sample = options.model.sample_shape(&inputs.encoded_features())?;
        let encoding = Encoding::of(inputs, options.time_steps).shaped(sample);
        let (resident, kept) = Resident::of(&options.train);
        Ok(Prepared {
            options,
            full,
            plan: Plan { model: &options.model, encoding, resident, batch: options.batch_size },
            optimizer: options.optimizer.for_run(total, per_epoch),
            kept,
            train,
            validation,
            per_epoch,
            total,
            most: options.steps_per_call.unwrap_or(MOST_STEPS).min(per_epoch),
        })
    }

    /// The program that checks one of the run's steps.
    pub(super) fn check(&self, step: usize) -> Result<(Program, Function, Signature)> {
        let full = self.full.as_ref().filter(|_| step < self.options.rules_from);
        programs::check(&self.plan, full, self.learning(), &self.changes())
    }

    /// The program of the run's steps.
    pub(super) fn steps(&self) -> Result<(Program, Function, Kept)> {
        self.steps_of(None)
    }

    /// The program of the steps before the rules start, if any.
    pub(super) fn first_steps(&self) -> Result<Option<(Program, Function)>> {
        let Some(full) = &self.full else { return Ok(None) };
        let (program, function, _) = self.steps_of(Some(full))?;
        Ok(Some((Program { name: "first_steps".to_owned(), ..program }, function)))
    }

    fn steps_of(&self, full: Option<&Network>) -> Result<(Program, Function, Kept)> {
        let ends = (self.options.on_nan, room(self.most));
        let (program, function, kept) = programs::steps(&self.plan, full, self.learning(), &self.changes(), ends)?;
        let sharding = Sharding::over(self.options.devices).dividing(ROWS, 1);
        Ok((Program { sharding, ..program }, function, kept))
    }

    /// The optimizer, the loss, and the labels of all training samples.
    fn learning(&self) -> (&dyn GradientTransformation, &Loss, &[i32]) {
        (self.optimizer.as_ref(), &self.options.loss, self.train.labels())
    }

    /// The changes that a step makes to its samples.
    fn changes(&self) -> Changes<'_> {
        Changes { shift: self.options.shift, augment: &self.options.augment }
    }
}

/// The network without its rules, if they start after the run does.
fn unquantized(options: &Options<dyn Model>, total: usize) -> Result<Option<Network>> {
    let from = options.rules_from;
    let network = options.model.network().filter(|network| !network.rules().is_empty());
    match network {
        _ if from == 0 => Ok(None),
        None => Err(Error::input(format!("there are no rules to start at step {from}; give rules, or 0"))),
        Some(_) if from >= total => Err(Error::input(format!(
            "the rules start at step {from}, but the run has only {total} steps; start them earlier"
        ))),
        Some(network) => Ok(Some(network.clone().without_rules())),
    }
}

/// The program of a run's training steps, including encoder and optimizer, as [`run`](super::run()) compiles it: one loop, which takes its
/// number of steps as an input.
///
/// # Errors
/// Of kind `Input`: options that are inconsistent with each other or with the data.
pub fn steps(options: &Options<dyn Model>) -> Result<(Program, Function)> {
    super::start::check(options)?;
    let (program, function, _) = Prepared::of(options)?.steps()?;
    Ok((program, function))
}
