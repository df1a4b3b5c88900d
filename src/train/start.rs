//! Where a run starts: checked options, initial parameters or a checkpoint, the metrics so far. Runs nothing.

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

/// The files that a run leaves in its folder.
pub const RUN_FILES: [&str; 10] =
    [CHECKPOINT, PREVIOUS, PARAMS, BEST, SUMMARY, METRICS, PICTURE, TENSORBOARD, "model.toml", "rules.toml"];

/// Names that a metric of one's own cannot have: metrics.jsonl has them for something else.
const RECORDED: [&str; 7] =
    ["step", "loss", "epoch", "train_loss", "test_accuracy", "validation_accuracy", "spike_rates"];

/// What the names of an optimizer's state start with.
pub(super) const OPTIMIZER: &str = "optimizer";

/// What the names of the best epoch's parameters and statistics start with.
pub(super) const OF_BEST: &str = "best/";

/// Refuses options that do not fit each other or the data.
pub(super) fn check(options: &Options<dyn Model>) -> Result<()> {
    if let Some(network) = options.model.network() {
        check_network(network, options)?;
    }
    options.optimizer.check_groups(options.model.parameter_types().keys())?;
    if !options.resume && [CHECKPOINT, PREVIOUS].into_iter().any(|name| is_init(options, name)) {
        return Err(Error::input(format!(
            "the initial parameters are the checkpoint in {}, which the run replaces; let it leave its results elsewhere",
            options.out.display()
        )));
    }
    let taken = RECORDED.into_iter().chain(READOUTS.iter().map(|row| row.name));
    if !options.metric.is_accuracy() && taken.into_iter().any(|name| name == options.metric.name()) {
        return Err(Error::input(format!(
            "`{}` cannot be the name of a metric, since metrics.jsonl has it for something else; give it another one",
            options.metric.name()
        )));
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
    if options.patience != Patience::None && options.validation == Validation::None {
        return Err(Error::input(
            "a patience needs samples that judge the epochs: keep some for validation (--validation 0.1, or --folds)",
        ));
    }
    Ok(())
}

/// The labels and the loss fit the network.
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
            "layer {} ({}) counts spikes for a loss of your own, and the loss `{}` does not read it; leave it out, or train \
             with a loss that does (`train::Loss::new`, `nn::silence_reg`, `nn::sparsity_reg`)",
            place + 1,
            layers[place].kind(),
            options.loss.description()
        ))),
        None => Ok(()),
    }
}

/// Types of what is carried from step to step, by path, in the order in which programs take it.
pub(super) struct Kept {
    pub(super) params: BTreeMap<String, TensorType>,
    /// Statistics that static scales come from.
    pub(super) statistics: BTreeMap<String, TensorType>,
    /// The optimizer's state.
    pub(super) slots: BTreeMap<String, TensorType>,
    /// The folder of that state in which an average of the parameters stands. It takes their place in tests and files.
    pub(super) average: Option<String>,
}

/// What the names of parameters start with in a checkpoint, where their average has their names.
pub(super) const RAW: &str = "trained";

impl Kept {
    /// Where each stands in a checkpoint. Where there is an average of the parameters, it has their names.
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

    /// Types of all, in the same order.
    pub(super) fn types(&self) -> impl Iterator<Item = &TensorType> {
        self.params.values().chain(self.statistics.values()).chain(self.slots.values())
    }

    /// Whether predictions read what stands at this path of a checkpoint.
    pub(super) fn is_read(&self, path: &str) -> bool {
        self.params.contains_key(path) || self.statistics.contains_key(path)
    }
}

/// What a run starts from.
pub(super) struct Start {
    /// What is carried from step to step.
    pub(super) values: Vec<Array>,
    /// Steps already done.
    pub(super) done: usize,
    /// What decides the bits of the run.
    pub(super) provenance: Provenance,
    /// The best epoch so far, with its parameters and statistics.
    pub(super) best: Option<(Best, BTreeMap<String, Array>)>,
    /// What a run goes on from.
    pub(super) resumed: Option<Resumed>,
}

/// What is known of the run that one goes on with.
pub(super) struct Resumed {
    /// The file of its checkpoint, in messages.
    pub(super) source: String,
    /// Whether that is the older one of two, as the newer one is damaged.
    pub(super) is_previous: bool,
    /// How far its metrics were written; earlier versions do not say it.
    pub(super) metrics: Option<Place>,
    /// What is to be said, in sentences.
    pub(super) notes: Vec<String>,
}

/// Names of the best epoch's arrays in a checkpoint.
pub(super) fn as_of_best(arrays: &BTreeMap<String, Array>) -> impl Iterator<Item = (String, Array)> {
    arrays.iter().map(|(path, array)| (format!("{OF_BEST}{path}"), array.clone()))
}

/// Initial parameters, or those of a checkpoint that this run goes on from.
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
        // Before the first step the parameters are their own average.
        slots.extend(values.iter().map(|(path, value)| (format!("{folder}/{path}"), value.clone())));
    }
    let values = values.into_values().chain(statistics).chain(slots.into_values()).collect();
    let now = Provenance { init: init.or(Some(Init::Drawn)), ..now };
    let provenance = Provenance { run: Some(now.identity()), ..now };
    Ok(Start { values, done: 0, provenance, best: None, resumed: None })
}

/// The parameters of a file that a run starts from, with what else the model says initial values of.
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

/// Refuses options that do not fit each other or the data, as a run of them would.
///
/// # Errors
/// Of kind `Input`.
pub fn check_options(options: &Options<dyn Model>) -> Result<()> {
    check(options)?;
    Prepared::of(options).map(drop)
}

/// How a run ended that these options begin, if the folder of the options has its end.
///
/// # Errors
/// Of kind `Input`: the run there is another one, or its files are damaged; of kind `File`: they cannot be read.
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
    // A summary of another run says nothing of this one.
    let is_other = summary.run.is_some() && then.run.is_some() && summary.run != then.run;
    Ok((!is_other).then_some(summary))
}

/// In what a run that these options begin would be another than the one whose checkpoint is in their folder.
///
/// # Errors
/// Of kind `Input` or `File`: there is none, it is damaged, the options do not fit each other.
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

/// What decides the bits of a run of so many steps, but for its initial parameters.
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
        // Its groups are its own, so that there are none of a flag's.
        None => (options.optimizer.own_text(total), None, None, Some("none".to_owned())),
    };
    Provenance {
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

/// Takes away what an older run left in the folder, before a new one leaves anything: a run that is stopped early must not
/// be taken for the older one. What the new run starts from stays until it is replaced. The files of the network become the new run's.
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
    // Not even a crash of the machine brings them back.
    sync_folder(&options.out);
    let configuration = options.model.network().map(|network| configuration::leave(network, &options.out));
    configuration.transpose().map(drop)
}

/// Takes a file away, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path, "remove", cause)),
        _ => Ok(()),
    }
}

/// Whether a run starts from this file in the folder of its results.
fn is_init(options: &Options<dyn Model>, name: &str) -> bool {
    let there = |path: &Path| path.canonicalize().ok();
    let init = options.init.as_deref().and_then(there);
    init.is_some() && init == there(&options.out.join(name))
}

/// The journal of a run that has done so many steps.
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
