//! Where a run starts: checked options, initial parameters or a checkpoint, the metrics so far. Runs nothing.

use std::collections::BTreeMap;
use std::path::Path;

use spiq_hlo::{Array, TensorType};

use super::checkpoint::Checkpoint;
use super::journal::Journal;
use super::metrics::{Metrics, Record, read_records};
use super::options::{Length, Options};
use crate::error::{Error, Result};

pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";

/// Where a run stands, as a checkpoint's metadata.
pub(super) const STEP: &str = "step";
const OPTIMIZER: &str = "optimizer";

/// Refuses options that do not fit each other or the data.
pub(super) fn check(options: &Options) -> Result<()> {
    let (classes, labels) = (options.network.classes(), options.train.classes());
    if classes < labels {
        return Err(Error::input(format!(
            "the model has {classes} outputs, but the labels go up to {}; give the last layer {labels} units",
            labels - 1
        )));
    }
    if !options.learning_rate.is_finite() || options.learning_rate < 0.0 {
        return Err(Error::input(format!("the learning rate is {}, but must be 0 or more", options.learning_rate)));
    }
    if !(0.0..=0.5).contains(&options.shift) {
        return Err(Error::input(format!(
            "the probability of a shift is {}, but must be from 0 to 0.5",
            options.shift
        )));
    }
    let none = [Some(options.time_steps), options.steps_per_call].contains(&Some(0));
    if none || matches!(options.length, Length::Epochs(0) | Length::Steps(0)) {
        return Err(Error::input("the numbers of epochs, steps, steps a call and time steps must be at least 1"));
    }
    Ok(())
}

/// Types of what is carried from step to step, by path, in the order in which programs take it.
pub(super) struct Kept {
    pub(super) params: BTreeMap<String, TensorType>,
    /// Statistics that static scales come from.
    pub(super) statistics: BTreeMap<String, TensorType>,
    /// The optimizer's state.
    pub(super) slots: BTreeMap<String, TensorType>,
}

impl Kept {
    /// How many of them predictions read: parameters and statistics.
    pub(super) fn read(&self) -> usize {
        self.params.len() + self.statistics.len()
    }

    /// Where each stands in a checkpoint.
    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        let slots = self.slots.keys().map(|slot| format!("{OPTIMIZER}/{slot}"));
        self.params.keys().chain(self.statistics.keys()).cloned().chain(slots)
    }
}

/// What a run starts from: what is carried from step to step, and the number of steps already done.
pub(super) fn start(options: &Options, kept: &Kept) -> Result<(Vec<Array>, usize)> {
    if options.resume {
        return resume(options, kept);
    }
    let values = match &options.init {
        Some(path) => Checkpoint::load(path)?.select(&kept.params, &path.display().to_string())?,
        None => options.network.init(options.seed),
    };
    let zeros = kept.statistics.values().chain(kept.slots.values()).map(|ty| Array::zeros(ty.clone()));
    Ok((values.into_values().chain(zeros).collect(), 0))
}

fn resume(options: &Options, kept: &Kept) -> Result<(Vec<Array>, usize)> {
    let path = options.out.join(CHECKPOINT);
    let source = path.display().to_string();
    let checkpoint = Checkpoint::load(&path)?;
    let done = checkpoint.metadata.get(STEP).and_then(|step| step.parse().ok()).ok_or_else(|| {
        Error::input(format!("{source} does not say how many steps were done, so it is not a checkpoint of a run"))
    })?;
    let network = &options.network;
    for (what, now) in [
        ("model", network.config().to_toml()),
        ("rules", rules_text(options)),
        ("numerics", network.numerics().to_string()),
        ("grad_dtype", network.gradients().to_string()),
    ] {
        if checkpoint.metadata.get(what).is_some_and(|then| *then != now) {
            return Err(Error::input(format!(
                "{source} is of a run with another {what}; resume with the flags of before, or start anew elsewhere"
            )));
        }
    }
    let wanted: BTreeMap<String, TensorType> =
        kept.slots.iter().map(|(slot, ty)| (format!("{OPTIMIZER}/{slot}"), ty.clone())).collect();
    let mut values = Vec::new();
    for wanted in [&kept.params, &kept.statistics, &wanted] {
        values.extend(checkpoint.select(wanted, &source)?.into_values());
    }
    Ok((values, done))
}

pub(super) fn rules_text(options: &Options) -> String {
    crate::config::rules_to_toml(options.network.rules())
}

/// The journal of a run that has done so many steps.
pub(super) fn journal(options: &Options, done: usize, per_epoch: usize) -> Result<Journal> {
    let path = options.out.join("metrics.jsonl");
    let metrics = match options.resume {
        true => Metrics::resume(&path, |record| before(record, done, per_epoch))?,
        false => Metrics::create(&path)?,
    };
    Ok(Journal::new(metrics, losses_of_epoch(&path, done, per_epoch)?))
}

/// Whether a record was written before a run had done so many steps.
fn before(record: &Record, done: usize, per_epoch: usize) -> bool {
    match record {
        Record::Step { step, .. } => (*step as usize) < done,
        Record::Epoch { epoch, .. } => *epoch as usize * per_epoch <= done,
    }
}

/// The losses of the epoch that was under way after `done` steps.
fn losses_of_epoch(path: &Path, done: usize, per_epoch: usize) -> Result<Vec<f32>> {
    let first = done / per_epoch * per_epoch;
    let of_epoch = |record: Record| match record {
        Record::Step { step, loss } if step as usize >= first => Some(loss.unwrap_or(f32::NAN)),
        _ => None,
    };
    Ok(read_records(path)?.into_iter().filter_map(of_epoch).collect())
}
