//! The starting point of a run: checked options, initial parameters or a checkpoint, the metrics so far.

use std::collections::BTreeMap;
use std::path::Path;

use spiq_events::sync_folder;
use spiq_hlo::{Array, TensorType};

use super::checkpoint::{Checkpoint, check_finite};
use super::checkpoints::{CHECKPOINT, Latest, PREVIOUS, latest};
use super::configuration;
use super::journal::Journal;
use super::model::Model;
use super::objective::check_class_weights;
use super::options::{Options, Summary};
use super::prepared::Prepared;
use super::resume;
use crate::compile::Sharding;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::nn::READOUTS;
use crate::optim::{ByName, GradientTransformation};
use crate::pjrt::Client;
use crate::provenance::{
    Best, Difference, Digest, Init, Length, ModelText, Order, Patience, Provenance, Tile, Validation, absolute,
};
use crate::record::{Metrics, Place, Record, TENSORBOARD, read_records};

pub(super) const PARAMS: &str = "params.safetensors";
pub(super) const BEST: &str = "best.safetensors";
pub(super) const SUMMARY: &str = "summary.json";
pub(super) const METRICS: &str = "metrics.jsonl";
pub(super) const PICTURE: &str = "training.svg";

/// The files that a run writes to its folder.
pub const RUN_FILES: [&str; 10] =
    [CHECKPOINT, PREVIOUS, PARAMS, BEST, SUMMARY, METRICS, PICTURE, TENSORBOARD, "model.toml", "rules.toml"];

/// Names that a user-defined metric cannot have, since metrics.jsonl uses them.
const RECORDED: [&str; 7] =
    ["step", "loss", "epoch", "train_loss", "test_accuracy", "validation_accuracy", "spike_rates"];

/// Prefix of the names of an optimizer's state.
pub(super) const OPTIMIZER: &str = "optimizer";

/// Prefix of the names of the best epoch's parameters and statistics.
pub(super) const OF_BEST: &str = "best/";

/// Refuses options that are inconsistent with each other or with the data.
pub(super) fn check(options: &Options<dyn Model>) -> Result<()> {
    if let Some(network) = options.model.network() {
        check_network(network, options)?;
    }
    options.optimizer.check_groups(options.model.parameter_types().keys())?;
    if !options.resume && [CHECKPOINT, PREVIOUS].into_iter().any(|name| is_init(options, name)) {
        return Err(Error::input(format!(
            "the initial parameters are the checkpoint in {}, which the run would replace; give another folder for the results",
            options.out.display()
        )));
    }
    let taken = RECORDED.into_iter().chain(READOUTS.iter().map(|row| row.name));
    if !options.metric.is_accuracy() && taken.into_iter().any(|name| name == options.metric.name()) {
        return Err(Error::input(format!(
            "`{}` cannot be the name of a metric, since metrics.jsonl uses it for something else; give another name",
            options.metric.name()
        )));
    }
    if !(0.0..=0.5).contains(&options.shift) {
        return Err(Error::input(format!(
            "the probability of a shift is {}, but must be from 0 to 0.5",
            options.shift
        )));
    }
    Sharding::over(options.devices).check_batch(options.batch_size, "--batch-size")?;
    let none = [Some(options.time_steps), options.steps_per_call].contains(&Some(0));
    if none || matches!(options.length, Length::Epochs(0) | Length::Steps(0)) {
        return Err(Error::input("the numbers of epochs, steps, steps per call and time steps must be at least 1"));
    }
    if options.patience != Patience::None && options.validation == Validation::None {
        return Err(Error::input("patience needs validation samples: hold some out (--validation 0.1, or --folds)"));
    }
    Ok(())
}

/// Checks that the labels and the loss match the network.
fn check_network(network: &Network, options: &Options<dyn Model>) -> Result<()> {
    let (classes, labels) = (network.classes(), options.train.classes());
    if classes < labels {
        return Err(Error::input(format!(
            "the model has {classes} outputs, but the labels go up to {}; give the last layer {labels} units",
            labels - 1
        )));
    }
    check_class_weights(&options.loss, classes)?;
    let layers = &network.config().layers;
    match layers.iter().position(|layer| layer.is_for_a_loss()).filter(|_| !options.loss.reads_states()) {
        Some(place) => Err(Error::input(format!(
            "{}/layers/{place} ({}) counts spikes for a custom loss, but the loss `{}` does not read them; leave the layer out, or train \
             with a loss that does (`train::Loss::new`, `nn::silence_reg`, `nn::sparsity_reg`)",
            network.config().name,
            layers[place].kind(),
            options.loss.description()
        ))),
        None => Ok(()),
    }
}

/// Types of the carry, by path, in the order of the program's inputs.
pub(super) struct Kept {
    pub(super) params: BTreeMap<String, TensorType>,
    /// Statistics that static scales are computed from.
    pub(super) statistics: BTreeMap<String, TensorType>,
    /// The optimizer's state.
    pub(super) slots: BTreeMap<String, TensorType>,
    /// The folder of that state with an average of the parameters, which tests and files use instead of the parameters.
    pub(super) average: Option<String>,
}

/// Prefix of the parameters in a checkpoint in which their average has their names.
pub(super) const RAW: &str = "trained";

impl Kept {
    /// The path of each array in a checkpoint. If there is an average of the parameters, it has their names.
    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        let raw = |path: &String| match self.average {
            Some(_) => format!("{RAW}/{path}"),
            None => path.clone(),
        };
        let averaged = |slot: &str| {
            let path = slot.strip_prefix(self.average.as_deref()?)?.strip_prefix('/')?;
            self.params.contains_key(path).then(|| path.to_owned())
        };
        let slot = move |slot: &String| averaged(slot).unwrap_or_else(|| format!("{OPTIMIZER}/{slot}"));
        self.params.keys().map(raw).chain(self.statistics.keys().cloned()).chain(self.slots.keys().map(slot))
    }

    /// The types of all arrays, in the same order.
    pub(super) fn types(&self) -> impl Iterator<Item = &TensorType> {
        self.params.values().chain(self.statistics.values()).chain(self.slots.values())
    }

    /// Whether predictions read the array at this path of a checkpoint.
    pub(super) fn is_read(&self, path: &str) -> bool {
        self.params.contains_key(path) || self.statistics.contains_key(path)
    }
}

/// The starting point of a run.
pub(super) struct Start {
    /// The initial carry.
    pub(super) values: Vec<Array>,
    /// Steps already done.
    pub(super) done: usize,
    /// Everything that determines the bits of the run.
    pub(super) provenance: Provenance,
    /// The best epoch so far, with its parameters and statistics.
    pub(super) best: Option<(Best, BTreeMap<String, Array>)>,
    /// The run that is resumed.
    pub(super) resumed: Option<Resumed>,
}

/// Facts about the run that is resumed.
pub(super) struct Resumed {
    /// The path of its checkpoint, for messages.
    pub(super) source: String,
    /// Whether that is the previous checkpoint, because the newer one is damaged.
    pub(super) is_previous: bool,
    /// Its position in the metrics; not recorded by earlier versions.
    pub(super) metrics: Option<Place>,
    /// Messages for the user, as sentences.
    pub(super) notes: Vec<String>,
}

/// The best epoch's arrays under their names in a checkpoint.
pub(super) fn as_of_best(arrays: &BTreeMap<String, Array>) -> impl Iterator<Item = (String, Array)> {
    arrays.iter().map(|(path, array)| (format!("{OF_BEST}{path}"), array.clone()))
}

/// The initial parameters, or those of the checkpoint that the run resumes.
pub(super) fn start(
    options: &Options<dyn Model>,
    optimizer: &dyn GradientTransformation,
    kept: &Kept,
    now: Provenance,
) -> Result<Start> {
    let initial = options.init.as_deref().map(|path| initial_in(options, path)).transpose()?;
    let init = initial.as_ref().map(|values| Init::From(Digest::of_arrays(values)));
    if options.resume {
        return resume::resume(options, optimizer, kept, Provenance { init, ..now });
    }
    let mut values = initial.unwrap_or_else(|| options.model.init(options.seed));
    let beginning =
        |(path, ty): (&String, &TensorType)| values.remove(path).unwrap_or_else(|| Array::zeros(ty.clone()));
    let statistics = kept.statistics.iter().map(beginning).collect::<Vec<_>>();
    let mut slots = optimizer.init(&kept.params);
    if let Some(folder) = &kept.average {
        // Before the first step, the parameters are their own average.
        slots.extend(values.iter().map(|(path, value)| (format!("{folder}/{path}"), value.clone())));
    }
    let values = values.into_values().chain(statistics).chain(slots.into_values()).collect();
    let now = Provenance { init: init.or(Some(Init::Drawn)), ..now };
    let provenance = Provenance { run: Some(now.identity()), ..now };
    Ok(Start { values, done: 0, provenance, best: None, resumed: None })
}

/// The parameters in a file that a run starts from, plus everything else that the model has initial values for.
fn initial_in(options: &Options<dyn Model>, path: &Path) -> Result<BTreeMap<String, Array>> {
    let source = path.display().to_string();
    let mut types = options.model.parameter_types();
    types.extend(options.model.init(options.seed).into_iter().map(|(path, array)| (path, array.ty().clone())));
    let values = Checkpoint::load(path)?.select(&types, &source)?;
    match options.allow_nonfinite {
        true => Ok(values),
        false => check_finite(&values, &source).map(|()| values),
    }
}

/// Refuses options that are inconsistent with each other or with the data, as a run with them would.
///
/// # Errors
/// Of kind `Input`.
pub fn check_options(options: &Options<dyn Model>) -> Result<()> {
    check(options)?;
    Prepared::of(options).map(drop)
}

/// The summary of the run that these options describe, if their folder contains it.
///
/// # Errors
/// Of kind `Input`: the folder contains another run, or its files are damaged; of kind `File`: they cannot be read.
pub fn finished(client: &Client, options: &Options<dyn Model>) -> Result<Option<Summary>> {
    let path = options.out.join(SUMMARY);
    let text = match spiq_events::read_text(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::file(&path, "read", cause)),
    };
    check(options)?;
    let prepared = Prepared::of(options)?;
    let now = provenance(options, client, prepared.total);
    let Latest { checkpoint, source, .. } = latest(&options.out)?;
    let then = Provenance::read(&checkpoint.metadata, &source)?;
    if options.allow_changes && !then.differences_of_run(&now).is_empty() {
        return Ok(None);
    }
    then.check_same_run(&now, &source)?;
    let summary: Summary = serde_json::from_str(&text)
        .map_err(|cause| Error::input(format!("{} is not a summary of a run", path.display())).because(cause))?;
    // A summary of another run does not apply to this one.
    let is_other = summary.run.is_some() && then.run.is_some() && summary.run != then.run;
    Ok((!is_other).then_some(summary))
}

/// The differences between a run with these options and the one whose checkpoint is in their folder.
///
/// # Errors
/// Of kind `Input` or `File`: there is no checkpoint, it is damaged, the options are inconsistent.
pub fn differences_from_checkpoint(client: &Client, options: &Options<dyn Model>) -> Result<Vec<Difference>> {
    let Latest { checkpoint, source, .. } = latest(&options.out)?;
    let then = Provenance::read(&checkpoint.metadata, &source)?;
    let init = match &options.init {
        Some(path) => Init::From(Digest::of_arrays(&initial_in(options, path)?)),
        None => Init::Drawn,
    };
    let now = provenance(options, client, Prepared::of(options)?.total);
    Ok(then.differences_of_run(&Provenance { init: Some(init), ..now }))
}

/// Everything that determines the bits of a run of `total` steps, except its initial parameters.
pub(super) fn provenance(options: &Options<dyn Model>, client: &Client, total: usize) -> Provenance {
    let inputs = options.train.inputs();
    let time_steps = inputs.steps().unwrap_or(options.time_steps);
    let model = match options.model.network() {
        Some(network) => {
            Provenance { time_tile: Some(Tile::of(network, time_steps)), ..Provenance::of_network(network) }
        }
        None => Provenance { model: Some(ModelText::described(options.model.describe())), ..Provenance::default() },
    };
    let (names, around) = (options.optimizer.names(), options.optimizer.around());
    let (optimizer, learning_rate, schedule, groups) = match names {
        Some(ByName { optimizer, learning_rate, schedule, groups }) => {
            (Some(optimizer), Some(learning_rate), Some(schedule), Some(groups))
        }
        // A user-defined optimizer includes its groups, so none come from the flag.
        None => (options.optimizer.own_text(total), None, None, Some("none".to_owned())),
    };
    Provenance {
        devices: Some(options.devices),
        time_steps: Some(time_steps),
        coding: Some(inputs.coding()),
        data: Some(Digest::of_data(&options.train, &options.test)),
        seed: Some(options.seed),
        rules_from: Some(options.rules_from as u64),
        optimizer,
        learning_rate,
        schedule,
        groups,
        clip: Some(around.clip),
        accumulate: Some(around.accumulate),
        ema: Some(around.ema),
        loss: Some(options.loss.description().to_owned()),
        regularize: Some(options.loss.regularizers()),
        metric: Some(options.metric.name().to_owned()),
        batch_size: Some(options.batch_size),
        length: Some(Length::Steps(total)),
        order: Some(if options.shuffle { Order::Shuffled } else { Order::File }),
        shift: Some(options.shift),
        augment: Some(options.augment.clone()),
        on_nan: Some(options.on_nan),
        validation: Some(options.validation),
        patience: Some(options.patience),
        data_file: options.train.file().map(absolute),
        ..model.or(Provenance::of_client(client)).or(Provenance::of_reading(options.train.reading()))
    }
}

/// Removes the files of an older run from the folder before a new run writes any, since a new run that is stopped early must not be
/// mistaken for the older one. Files that the new run starts from stay until they are replaced. The network's files are replaced by the new
/// run's.
pub(super) fn clear(options: &Options<dyn Model>) -> Result<()> {
    if options.resume {
        return Ok(());
    }
    for name in [SUMMARY, CHECKPOINT, PREVIOUS, PARAMS, BEST, METRICS, PICTURE, TENSORBOARD] {
        let path = options.out.join(name);
        if is_init(options, name) {
            continue;
        }
        remove(&path)?;
    }
    // Ensures that a crash of the machine does not bring them back.
    sync_folder(&options.out);
    let configuration = options.model.network().map(|network| configuration::leave(network, &options.out));
    configuration.transpose().map(drop)
}

/// Removes a file, if it exists.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path, "remove", cause)),
        _ => Ok(()),
    }
}

/// Whether a run starts from this file in its results folder.
fn is_init(options: &Options<dyn Model>, name: &str) -> bool {
    let there = |path: &Path| path.canonicalize().ok();
    let init = options.init.as_deref().and_then(there);
    init.is_some() && init == there(&options.out.join(name))
}

/// The journal of a run after `done` steps.
pub(super) fn journal(
    options: &Options<dyn Model>,
    resumed: Option<&Resumed>,
    done: usize,
    per_epoch: usize,
) -> Result<Journal> {
    let path = options.out.join(METRICS);
    let metrics = match resumed {
        Some(resumed) => resume::metrics(options, resumed, &path, |record| before(record, done, per_epoch))?,
        None => Metrics::create(&path)?,
    };
    let metrics = match options.tensorboard {
        true => metrics.with_tensorboard(&options.out.join(TENSORBOARD), &read_records(&path)?)?,
        false => metrics,
    };
    Ok(Journal::new(metrics, options.metric.clone(), options.on_nan, losses_of_epoch(&path, done, per_epoch)?))
}

/// The journal of a process that leaves writing to another one.
pub(super) fn journal_elsewhere(options: &Options<dyn Model>) -> Journal {
    Journal::new(Metrics::elsewhere(), options.metric.clone(), options.on_nan, Vec::new())
}

/// Whether a record was written before a run had done this many steps.
fn before(record: &Record, done: usize, per_epoch: usize) -> bool {
    match record {
        Record::Step { step, .. } => (*step as usize) < done,
        Record::Epoch { epoch, .. } => *epoch as usize * per_epoch <= done,
    }
}

/// The losses of the epoch in progress after `done` steps.
fn losses_of_epoch(path: &Path, done: usize, per_epoch: usize) -> Result<Vec<f32>> {
    let first = done / per_epoch * per_epoch;
    let of_epoch = |record: Record| match record {
        Record::Step { step, loss } if step as usize >= first => Some(loss.unwrap_or(f32::NAN)),
        _ => None,
    };
    Ok(read_records(path)?.into_iter().filter_map(of_epoch).collect())
}
