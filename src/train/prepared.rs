//! What the programs of a run are made from, before anything is compiled or written.

use std::sync::Arc;

use spiq_hlo::{Array, Function};

use super::model::Model;
use super::objective::Loss;
use super::options::Options;
use super::programs::{self, Changes, Plan};
use super::resident::Resident;
use super::start::Kept;
use super::validation;
use crate::compile::Program;
use crate::data::{Dataset, Encoding};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::optim::GradientTransformation;
use crate::signature::Signature;

/// For how many steps a program of calls of at most `most` has room: never for one alone, since the compiler makes another program of
/// a loop over one row, with other last bits.
pub(super) fn room(most: usize) -> usize {
    most.max(2)
}

/// Steps a call at most, where the options do not say.
const MOST_STEPS: usize = 32;

/// The sizes of a run, its optimizer, and how its samples are kept.
pub(super) struct Prepared<'a> {
    options: &'a Options<dyn Model>,
    /// The network in which nothing is quantized, where the rules begin later.
    full: Option<Network>,
    pub(super) plan: Plan<'a>,
    pub(super) optimizer: Arc<dyn GradientTransformation>,
    /// Samples and labels of the training data's file.
    pub(super) kept: [Array; 2],
    /// The samples that train, and those that choose the best epoch.
    pub(super) train: Dataset,
    pub(super) validation: Option<Dataset>,
    /// Steps of an epoch, and in all.
    pub(super) per_epoch: usize,
    pub(super) total: usize,
    /// Steps a call at most; the program has [`room`] for them.
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
                "a step of the optimizer is of {accumulate} batches, but the run has only {total}, so that nothing would be learned; \
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

    /// The program that looks at one of its steps.
    pub(super) fn check(&self, step: usize) -> Result<(Program, Function, Signature)> {
        let full = self.full.as_ref().filter(|_| step < self.options.rules_from);
        programs::check(&self.plan, full, self.learning(), &self.changes())
    }

    /// The program of its steps.
    pub(super) fn steps(&self) -> Result<(Program, Function, Kept)> {
        self.steps_of(None)
    }

    /// That of the steps before the rules begin, where there are any.
    pub(super) fn first_steps(&self) -> Result<Option<(Program, Function)>> {
        let Some(full) = &self.full else { return Ok(None) };
        let (program, function, _) = self.steps_of(Some(full))?;
        Ok(Some((Program { name: "first_steps".to_owned(), ..program }, function)))
    }

    fn steps_of(&self, full: Option<&Network>) -> Result<(Program, Function, Kept)> {
        programs::steps(&self.plan, full, self.learning(), &self.changes(), (self.options.on_nan, room(self.most)))
    }

    /// How it learns: the optimizer, the loss, the labels of all training samples.
    fn learning(&self) -> (&dyn GradientTransformation, &Loss, &[i32]) {
        (self.optimizer.as_ref(), &self.options.loss, self.train.labels())
    }

    /// What a step changes in its samples.
    fn changes(&self) -> Changes<'_> {
        Changes { shift: self.options.shift, augment: &self.options.augment }
    }
}

/// The network without its rules, where they begin later than the run.
fn unquantized(options: &Options<dyn Model>, total: usize) -> Result<Option<Network>> {
    let from = options.rules_from;
    let network = options.model.network().filter(|network| !network.rules().is_empty());
    match network {
        _ if from == 0 => Ok(None),
        None => Err(Error::input(format!("there are no rules that could begin at step {from}; give some, or 0"))),
        Some(_) if from >= total => Err(Error::input(format!(
            "the rules would begin at step {from}, but the run has only {total} steps; let them begin earlier"
        ))),
        Some(network) => Ok(Some(network.clone().without_rules())),
    }
}

/// The program of a run's training steps, encoder and optimizer included, as [`run`](super::run()) compiles it: one loop, whose
/// number of steps it is told.
///
/// # Errors
/// Of kind `Input`: options that do not fit each other or the data.
pub fn steps(options: &Options<dyn Model>) -> Result<(Program, Function)> {
    super::start::check(options)?;
    let (program, function, _) = Prepared::of(options)?.steps()?;
    Ok((program, function))
}
