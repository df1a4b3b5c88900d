//! Resolves the settings of `spiq train`: from flags, the checkpoint to resume, the parameters to start from and a recipe, in this order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use spiq::augment::Augmentation;
use spiq::cluster::Identity;
use spiq::config::ModelConfig;
use spiq::data::{Binning, Coding, Dataset, Reading, SPEECH_BINNING, holds_arrays};
use spiq::network::Network;
use spiq::pjrt::Client;
use spiq::provenance::{ModelText, Order, Patience, Provenance, Scope, Tile, Validation};
use spiq::quant::{Gradients, Numerics, Rules};
use spiq::train::{Checkpoint, Length, Options, checkpoint_in, has_checkpoint};
use spiq::{Error, ErrorKind, Result};

use super::argument::Devices;
use super::choice::Device;
use super::client;
use super::learning::Chosen;
use super::recipe::{CONSTANT, Data, Name, Recipe};
use super::recordings;
use super::train::Arguments;
use super::trained::{Trained, named_rules, note_many_layers};

/// A training run that has not started yet.
pub struct Plan {
    /// The options of the run.
    pub options: Options,
    /// The device to run on.
    pub device: Device,
    /// The devices that share each step.
    pub devices: Devices,
    /// Which of several processes this is.
    pub identity: Option<Identity>,
    /// The checkpoint to resume from.
    begun: Option<Trained>,
    /// The parameters to start from.
    init: Option<Trained>,
    /// A note about settings that the checkpoint does not record.
    missing: Option<String>,
    /// Notes about rules without effect.
    of_rules: Vec<String>,
}

impl Plan {
    /// Resolves the arguments.
    ///
    /// # Errors
    /// Of kind `Input` or `File`: unusable or mismatched files.
    pub fn new(arguments: &Arguments) -> Result<Plan> {
        let identity = arguments.processes.identity()?;
        let out = arguments.out.clone().unwrap_or_else(|| default_folder(arguments));
        let begun = arguments.resume.then(|| begun(&out)).transpose()?;
        let init = arguments.init.as_deref().map(init).transpose()?;
        // An explicit --recipe replaces all settings: the checkpoint is compared with it instead of supplying defaults.
        let resumed = begun.as_ref().filter(|_| arguments.recipe.is_none()).map(|begun| begun.provenance.clone());
        let chosen = flags(arguments)?.or(resumed.unwrap_or_default());
        let chosen = chosen.or(init.as_ref().filter(|_| begun.is_none()).map(of_network).unwrap_or_default());
        let recipe = recipe(arguments).recipe();
        check_data(&recipe, &chosen)?;
        let chosen = with_gradients(in_full(chosen, &recipe, arguments));
        let missing = begun.as_ref().and_then(|begun| missing(begun, &chosen));
        let device = device(&chosen, begun.as_ref())?;
        if let Some(Trained { provenance, source }) = begun.as_ref().filter(|_| !arguments.allow_changes) {
            // The only entry needed before the rest can be compared.
            let device = Provenance { device: chosen.device.clone(), ..Provenance::default() };
            provenance.check_same_run(&device, source)?;
        }
        // A checkpoint counts the devices of all processes, which may be others now.
        let recorded = chosen.devices.filter(|_| identity.is_none());
        let devices = match arguments.devices {
            Some(devices) => devices,
            None => recorded.map_or(Devices::One, Devices::Of),
        };
        let (options, of_rules) = options(arguments, chosen, begun.as_ref(), out)?;
        Ok(Plan { options, device, devices, identity, begun, init, missing, of_rules })
    }

    /// The plan on the devices of a client.
    pub fn on(mut self, client: &Client) -> Plan {
        self.options.devices = client::count(client, self.devices);
        self
    }

    /// Notes on differences that may change the results' bits without being set by a flag, and on differences from the network that the
    /// initial parameters were trained in.
    pub fn notes(&self, client: &Client) -> Vec<String> {
        let left_out = self.options.train.note().map(str::to_owned);
        left_out.into_iter().chain(self.of_rules.clone()).chain(self.notes_on_the_start(client)).collect()
    }

    fn notes_on_the_start(&self, client: &Client) -> Vec<String> {
        let now = Provenance {
            time_steps: Some(self.time_steps()),
            devices: Some(self.options.devices),
            ..Provenance::of(&self.options.model, client)
        };
        let Some(Trained { provenance, source }) = self.begun.as_ref().or(self.init.as_ref()) else {
            return Vec::new();
        };
        if self.options.resume {
            let differences = provenance.differences(&now);
            let around = differences.iter().filter(|difference| difference.scope == Scope::Surroundings);
            let note = |difference| {
                format!("note: {source} is from a run with {difference}; results may differ in the last bits")
            };
            return around.map(note).chain(self.missing.clone()).collect();
        }
        // Not compared: initial parameters are often trained further with other rules.
        let known = Provenance { rules: None, ..provenance.clone() };
        let differences = known.differences(&now);
        let network = differences.iter().filter(|difference| difference.scope == Scope::Outputs);
        network.map(|difference| format!("note: {source} was trained with {difference}")).collect()
    }

    fn time_steps(&self) -> usize {
        self.options.train.inputs().steps().unwrap_or(self.options.time_steps)
    }
}

/// The settings that the checkpoint in a folder records.
fn begun(folder: &Path) -> Result<Trained> {
    if !has_checkpoint(folder) && !folder.join("metrics.jsonl").exists() {
        return Err(Error::input(format!(
            "there is no run in {} to resume; name its folder with --out, or start one without --resume",
            folder.display()
        )));
    }
    let source = folder.join("checkpoint.safetensors").display().to_string();
    Trained::read(&checkpoint_in(folder)?.metadata, source)
}

/// The settings that a parameter file records.
fn init(path: &Path) -> Result<Trained> {
    Trained::read(&Checkpoint::load(path)?.metadata, path.display().to_string())
}

/// The settings a new run takes from its initial parameters: those of the network, except for its rules.
fn of_network(init: &Trained) -> Provenance {
    let Provenance { model, numerics, precision, time_steps, coding, .. } = init.provenance.clone();
    Provenance { model, numerics, precision, time_steps, coding, ..Provenance::default() }
}

/// The settings that the flags give.
fn flags(arguments: &Arguments) -> Result<Provenance> {
    let model = arguments.model.as_deref().map(ModelConfig::load).transpose()?;
    let device = arguments.device.and_then(|device| device.to_possible_value());
    Ok(Provenance {
        device: device.map(|device| device.get_name().to_owned()),
        model: model.as_ref().map(ModelText::of),
        rules: arguments.rules.as_deref().map(named_rules).transpose()?,
        numerics: arguments.numerics.map(Into::into),
        time_steps: arguments.time_steps,
        time_tile: arguments.time_tile.map(Tile::Steps),
        grad_dtype: arguments.grad_dtype.map(Into::into),
        seed: arguments.seed,
        batch_size: arguments.batch_size,
        length: arguments.steps.map(Length::Steps).or(arguments.epochs.map(Length::Epochs)),
        order: arguments.no_shuffle.then_some(Order::File),
        shift: arguments.shift,
        augment: arguments.augment.clone(),
        on_nan: arguments.on_nan.map(Into::into),
        validation: validation(arguments),
        patience: arguments.patience.map(Patience::Epochs),
        data_file: arguments.data.clone(),
        ..arguments
            .arithmetic
            .provenance()
            .or(arguments.learning.provenance())
            .or(arguments.recordings.provenance())
            .or(arguments.test_samples.provenance())
    })
}

/// The validation samples that the flags select.
fn validation(arguments: &Arguments) -> Option<Validation> {
    let fold = arguments.fold.zip(arguments.folds).map(|(number, of)| Validation::Fold { number, of });
    fold.or(arguments.validation)
}

/// The given recipe, or the one for the given data.
fn recipe(arguments: &Arguments) -> Name {
    let of_data = |name: &&Name| arguments.data.is_some() && name.recipe().provenance().data_file == arguments.data;
    let of_data = Name::value_variants().iter().find(of_data).copied();
    arguments.recipe.or(of_data).unwrap_or(Name::Digits)
}

/// Refuses a recipe for files if no file is given.
fn check_data(recipe: &Recipe, chosen: &Provenance) -> Result<()> {
    match recipe.data {
        Data::Files { called, .. } if chosen.data_file.is_none() => Err(Error::input(format!(
            "this recipe is for recordings in the layout of {called}: give the training files with --data and the test files with \
             --test-data; `spiq data fetch` downloads them"
        ))),
        _ => Ok(()),
    }
}

/// Fills settings that are still open from the recipe.
fn in_full(chosen: Provenance, recipe: &Recipe, arguments: &Arguments) -> Provenance {
    // The recipe's rules belong to its model; its schedule and shifts belong to its model, data and optimizer together.
    let its_model = recipe.provenance().model;
    let own_model =
        arguments.model.is_some() || chosen.model.as_ref().is_some_and(|model| Some(model) != its_model.as_ref());
    let own_data =
        recipe.data.is_built_in() && arguments.data.is_some() && arguments.data != recipe.provenance().data_file;
    // An explicit --recipe applies in full, except for explicit flags.
    let is_named = arguments.recipe.is_some();
    let own_run = !is_named
        && (own_model
            || own_data
            || arguments.learning.optimizer.is_some()
            || arguments.learning.learning_rate.is_some());
    let mut rest = recipe.provenance();
    if own_model && !is_named {
        rest.rules = Some(Rules::default());
        if let Data::Speech(_) = recipe.data {
            // The recipe's binning belongs to its model; other models get the data set's.
            let Binning { bins, dt, channels, .. } = SPEECH_BINNING;
            (rest.bins, rest.dt, rest.channels) = (bins, dt, channels);
        }
    }
    if arguments.data.as_deref().is_some_and(holds_arrays) {
        // Arrays are already binned.
        (rest.bins, rest.dt, rest.elements) = (None, None, None);
    }
    if own_run {
        (rest.schedule, rest.shift) = (Some(CONSTANT.to_owned()), Some(0.0));
        rest.augment = Some(Augmentation::default());
    }
    chosen.or(rest)
}

/// Fills in the dtype of gradient products: bf16 on accelerators, whose units compute bf16 twice as fast as f32 products (tf32); f32 on
/// CPUs, and where the numbers are to be qwix's.
fn with_gradients(mut chosen: Provenance) -> Provenance {
    let accelerated = chosen.device.as_deref().is_some_and(|device| device != "cpu");
    let qwix = chosen.numerics == Some(Numerics::Qwix);
    chosen.grad_dtype.get_or_insert(if accelerated && !qwix { Gradients::Bf16 } else { Gradients::Full });
    chosen
}

/// A note about settings that the checkpoint of an earlier version does not record and that cannot be compared.
fn missing(begun: &Trained, chosen: &Provenance) -> Option<String> {
    let missing = begun.provenance.missing(chosen);
    (!missing.is_empty()).then(|| {
        let names = missing.join(", ");
        format!(
            "note: {} does not record its {names}; using flags and defaults, which must match the original run",
            begun.source
        )
    })
}

fn device(chosen: &Provenance, begun: Option<&Trained>) -> Result<Device> {
    let name = chosen.device.as_deref().unwrap_or("cpu");
    Device::from_str(name, true).map_err(|_| {
        let source = begun.map_or("the run", |begun| &begun.source);
        Error::input(format!(
            "{source} names the device `{name}`, which this version does not support; give one with --device"
        ))
    })
}

/// The options of a run with these settings, and notes about rules without effect.
fn options(
    arguments: &Arguments,
    chosen: Provenance,
    begun: Option<&Trained>,
    out: PathBuf,
) -> Result<(Options, Vec<String>)> {
    // Checked here instead of by clap: a sweep parses its switches without the flags that take values.
    if arguments.allow_nonfinite && arguments.init.is_none() {
        return Err(Error::input("--allow-nonfinite applies to the parameters of --init, which is missing"));
    }
    let source = begun.map_or_else(|| "the model".to_owned(), |begun| format!("the model in {}", begun.source));
    let model = chosen.model.as_ref().expect("the recipe has a model").model(&source)?;
    note_many_layers(&model);
    let network = Network::with_rules(model, chosen.rules.clone().unwrap_or_default())
        .with_numerics(chosen.numerics.unwrap_or_default())
        .with_gradients(chosen.grad_dtype.unwrap_or_default())
        .with_precision(chosen.precision.unwrap_or_default())
        .with_time_tile(chosen.time_tile.and_then(Tile::steps));
    // A single rule without effect is refused, as a mistake.
    let (network, of_rules) = match network.rules().len() < 2 {
        true => (network, Vec::new()),
        false => network.with_matched_rules(arguments.allow_unmatched)?,
    };
    let (train, test) = dataset(arguments, &chosen, &network)?.split()?;
    let own = if train.own_validation().is_some() { Validation::Own } else { Validation::None };
    let default = Options::new(network, train, test, out);
    let Chosen { loss, metric, optimizer } = match begun {
        Some(Trained { source, .. }) => Chosen::of_checkpoint(&chosen, source)?,
        None => Chosen::of(&chosen)?,
    };
    let options = Options {
        optimizer,
        loss,
        metric,
        batch_size: chosen.batch_size.unwrap_or(default.batch_size),
        length: chosen.length.unwrap_or(default.length),
        rules_from: chosen.rules_from.and_then(|step| usize::try_from(step).ok()).unwrap_or(default.rules_from),
        time_steps: chosen.time_steps.unwrap_or(default.time_steps),
        shift: chosen.shift.unwrap_or(default.shift),
        augment: chosen.augment.unwrap_or_default(),
        on_nan: chosen.on_nan.unwrap_or(default.on_nan),
        allow_nonfinite: arguments.allow_nonfinite,
        validation: chosen.validation.unwrap_or(own),
        patience: chosen.patience.unwrap_or_default(),
        steps_per_call: arguments.steps_per_call,
        shuffle: chosen.order.is_none_or(|order| order == Order::Shuffled),
        seed: chosen.seed.unwrap_or(default.seed),
        init: arguments.init.clone(),
        tensorboard: arguments.tensorboard,
        resume: arguments.resume,
        allow_changes: arguments.allow_changes,
        checkpoint_every: arguments.checkpoint_seconds.map_or(default.checkpoint_every, Duration::from_secs_f64),
        ..default
    };
    Ok((options, of_rules))
}

/// Loads the data and checks that its sizes match the model.
fn dataset(arguments: &Arguments, chosen: &Provenance, network: &Network) -> Result<Dataset> {
    let own_model = arguments.model.is_some() || arguments.resume;
    let named = chosen.data_file.as_deref().filter(|path| path.as_os_str() != DIGITS || path.exists());
    let (data, source) = match named {
        // With a model chosen by the user, labels are checked against its classes first; else after the features.
        Some(path) => {
            let read = recordings::dataset(path, &chosen.reading()?, own_model.then(|| network.classes()));
            let moved = |error: &Error| error.kind() == ErrorKind::File && arguments.data.is_none();
            match read {
                Err(error) if moved(&error) => {
                    return Err(Error::input(format!("{error}; name the data of the run with --data")));
                }
                read => (read?, path.display().to_string()),
            }
        }
        None => {
            check_no_reading(chosen)?;
            (Dataset::digits(), "the built-in digits".to_owned())
        }
    };
    let data = encoded(data, arguments, chosen)?;
    let (classes, outputs) = (data.classes(), network.classes());
    let refused = match network.sample_shape(&data.inputs().encoded_features()) {
        Ok(_) if classes <= outputs => return Ok(data),
        Ok(_) => format!("there are {classes} classes, but the model has {outputs} outputs"),
        Err(error) => error.to_string(),
    };
    Err(Error::input(match own_model {
        true => format!("{source}: {refused}"),
        false => {
            let of_recipe = recipe(arguments).recipe().provenance().model == chosen.model;
            let whose = if of_recipe { "the recipe's" } else { "that of --init" };
            format!("{source}: {refused}; the model is {whose}, give another one with --model")
        }
    }))
}

/// The name of the built-in images where a path is expected; a file of that name is `./digits`.
const DIGITS: &str = "digits";

/// Refuses reading flags for the built-in digits, which are not recordings and have their own test part.
fn check_no_reading(chosen: &Provenance) -> Result<()> {
    match chosen.reading()? == Reading::default() {
        true => Ok(()),
        false => Err(Error::input(
            "the built-in digits are images with their own test part; --bins, --dt, --channels, --presence, --transform, \
             --test-data and --test-speaker require recordings: name them with --data",
        )),
    }
}

/// The data with the encoder that the flag names, else the recorded one if it applies to such data.
fn encoded(data: Dataset, arguments: &Arguments, chosen: &Provenance) -> Result<Dataset> {
    match (arguments.encode, chosen.coding.and_then(Coding::code)) {
        (Some(code), _) => data.encoded(code),
        (None, Some(code)) if data.inputs().takes(code) => data.encoded(code),
        (None, _) => Ok(data),
    }
}

/// The default results folder, named after the data.
pub fn default_folder(arguments: &Arguments) -> PathBuf {
    let of_recipe = recipe(arguments).recipe().provenance().data_file;
    let data = arguments.data.as_deref().or(of_recipe.as_deref());
    Path::new("runs").join(data.and_then(Path::file_stem).unwrap_or("digits".as_ref()))
}
