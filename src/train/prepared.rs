//! What the programs of a run are made from, before anything is compiled or written.

use std::sync::Arc;

use spiq_hlo::{Array, Function};

use super::model::Model;
use super::options::Options;
use super::programs::{self, Changes, Plan};
use super::resident::Resident;
use super::start::Kept;
use super::validation;
use crate::compile::Program;
use crate::data::{Dataset, Encoding};
use crate::error::Result;
use crate::optim::GradientTransformation;

/// Steps a call at most, where the options do not say.
const MOST_STEPS: usize = 32;

/// The sizes of a run, its optimizer, and how its samples are kept.
pub(super) struct Prepared<'a> {
    options: &'a Options<dyn Model>,
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
    /// Steps a call at most, for which the program has room.
    pub(super) most: usize,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(options: &'a Options<dyn Model>) -> Result<Prepared<'a>> {
        let (train, validation) = validation::parts(options)?;
        let per_epoch = train.training_order(options.batch_size, None)?.len() / options.batch_size;
        let total = programs::total_steps(options.length, per_epoch);
        let inputs = options.train.inputs();
        let sample = options.model.sample_shape(inputs.features())?;
        let encoding = Encoding::of(inputs, options.time_steps).shaped(sample);
        let (resident, kept) = Resident::of(&options.train);
        Ok(Prepared {
            options,
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

    /// The program of its steps.
    pub(super) fn steps(&self) -> Result<(Program, Function, Kept)> {
        let Options { loss, shift, augment, .. } = self.options;
        let changes = Changes { shift: *shift, augment };
        programs::steps(&self.plan, (self.optimizer.as_ref(), loss, self.train.labels()), &changes, self.most)
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
