//! `spiq train`: from flags and a recipe to a training run, and the table at its end. Knows nothing of the loop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use spiq::config::{ModelConfig, RuleConfig, load_rules, rules_to_toml};
use spiq::data::{Dataset, replace_file};
use spiq::network::Network;
use spiq::quant::linear_only_rules;
use spiq::table;
use spiq::train::{self, Length, Options, Summary};
use spiq::{Error, ErrorKind, Result};

use super::choice::{Device, GradDtype, Numerics};
use super::progress::Training;
use super::recipe::{self, Recipe};
use super::{argument, client, screen};

const EXAMPLES: &str = "\
Examples:
  spiq train                                                   the built-in digits, int8 weights and activations
  spiq train --rules none --out runs/fp32                      the same in full precision
  spiq train --model model.toml --data spikes.safetensors --rules rules.toml --epochs 50
  spiq train --resume                                          go on after Ctrl-C, with the flags of before

Data are a safetensors file with `labels` [N] and either `inputs` [N, T, …] (u8 or f32: spikes over time) or `images`
[N, …] (u8, encoded as spikes; the metadata entry `max` gives the largest value, 255 by default). The metadata entry
`train` says how many of the first samples train, the others test; without it all train and all test.

Left in DIR: params.safetensors, model.toml and rules.toml (what `spiq predict` reads), checkpoint.safetensors (what
--resume reads), metrics.jsonl, training.svg.";

/// Train a network with quantization in the loop
///
/// Without flags: handwritten digits, which are built in, with weights and activations in int8. A recipe gives what no flag
/// says.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The network [default: the recipe's]
    #[arg(long, value_name = "M.toml")]
    model: Option<PathBuf>,
    /// Samples and labels [default: the built-in digits]
    #[arg(long, value_name = "D.safetensors")]
    data: Option<PathBuf>,
    /// What is quantized and how; `none` for full precision [default: the recipe's, int8 weights and activations; with
    /// --model nothing]
    #[arg(long, value_name = "R.toml | none")]
    rules: Option<PathBuf>,
    /// Start from these parameters, unless --resume [default: drawn at random, as flax and Spyx do]
    #[arg(long, value_name = "P.safetensors")]
    init: Option<PathBuf>,
    /// Where everything else comes from
    #[arg(long, value_enum, default_value = "digits")]
    recipe: recipe::Name,
    /// Optimizer, with optax's defaults [default: the recipe's, adam]
    #[arg(long, value_enum)]
    optimizer: Option<Optimizer>,
    /// How the learning rate goes on from its start [default: the recipe's; constant with --model, --data, --optimizer or
    /// --learning-rate]
    #[arg(long, value_enum)]
    schedule: Option<Schedule>,
    /// How numbers are rounded
    #[arg(long, value_enum, default_value = "exact")]
    numerics: Numerics,
    /// Element type of the products that give the gradients
    #[arg(long, value_enum, default_value = "f32")]
    grad_dtype: GradDtype,
    /// Time steps of a tile, for which each layer computes its products at once [default: all of them]
    #[arg(long, value_name = "K", value_parser = argument::count)]
    time_tile: Option<usize>,
    /// Learning rate at the start [default: the recipe's, 0.004]
    #[arg(long, value_name = "F", value_parser = argument::positive)]
    learning_rate: Option<f64>,
    /// Samples a step [default: the recipe's, 32]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    batch_size: Option<usize>,
    /// Times through the training samples [default: the recipe's, 30]
    #[arg(long, value_name = "N", value_parser = argument::count, conflicts_with = "steps")]
    epochs: Option<usize>,
    /// Training steps, instead of epochs
    #[arg(long, value_name = "N", value_parser = argument::count)]
    steps: Option<usize>,
    /// Time steps that images are encoded over; spike trains keep their own [default: the recipe's, 32]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    time_steps: Option<usize>,
    /// Probability with which a training image is moved by a pixel, in each of four directions [default: the recipe's; 0
    /// with --model, --data, --optimizer or --learning-rate]
    #[arg(long, value_name = "F")]
    shift: Option<f64>,
    /// Steps that the device does in one call, without the host; the results are the same for any number [default: as many as
    /// take a tenth of a second, up to 32]
    #[arg(long, value_name = "K", value_parser = argument::count)]
    steps_per_call: Option<usize>,
    /// Take the samples in the order of the file, in every epoch
    #[arg(long)]
    no_shuffle: bool,
    /// What initial parameters, order and encoding are drawn from
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: i64,
    /// Folder of the results, made if it is missing; results of an earlier run there are replaced [default: runs/digits,
    /// or runs/NAME for a data file NAME.safetensors]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the checkpoint in the folder of the results; the end is bit for bit that of a run without interruption
    #[arg(long)]
    resume: bool,
    /// Where it runs; the CPU's plugin is installed at the first use
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Optimizer {
    Lion,
    Adam,
    Adamw,
    Sgd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Schedule {
    /// the same all along
    Constant,
    /// down to zero along half a cosine
    Cosine,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Interrupted` after Ctrl-C; those of [`train::run`].
pub fn run(arguments: &Arguments) -> Result<()> {
    let options = options(arguments)?;
    let stop = stop_at_ctrl_c();
    let client = client::open(arguments.device)?;
    let mut display = Training::default();
    let outcome = train::run(&client, &options, &stop, &mut |event| display.update(event));
    display.end();
    let mut summary = outcome?;
    summary.files.extend(leave_configuration(&options)?);
    screen::print(&table(&summary, &options))?;
    match summary.interrupted {
        true => Err(interrupted()),
        false => Ok(()),
    }
}

/// Leaves the model and its rules beside the parameters, for `spiq predict`.
fn leave_configuration(options: &Options) -> Result<Vec<PathBuf>> {
    let (model, rules) = (options.out.join("model.toml"), options.out.join("rules.toml"));
    replace_file(&model, options.network.config().to_toml().as_bytes())?;
    if options.network.rules().is_empty() {
        // Those of an earlier run would be taken for this one's.
        drop(std::fs::remove_file(&rules));
        return Ok(vec![model]);
    }
    replace_file(&rules, rules_to_toml(options.network.rules()).as_bytes())?;
    Ok(vec![model, rules])
}

fn options(arguments: &Arguments) -> Result<Options> {
    let recipe = arguments.recipe.recipe();
    let model = match &arguments.model {
        Some(path) => ModelConfig::load(path)?,
        None => ModelConfig::parse(&recipe.model(), "the recipe's model")?,
    };
    let network = Network::new(model, rules(arguments, &recipe)?)?.with_numerics(arguments.numerics.into());
    let network = network.with_gradients(arguments.grad_dtype.into()).with_time_tile(arguments.time_tile);
    let (train, test) = dataset(arguments, &network)?.split()?;
    let epochs = arguments.epochs.unwrap_or(recipe.epochs);
    let (schedule, shift) = match is_own(arguments) {
        true => (train::Schedule::Constant, 0.0),
        false => (recipe.schedule, recipe.shift),
    };
    Ok(Options {
        network,
        train,
        test,
        optimizer: arguments.optimizer.map_or(recipe.optimizer, Into::into),
        learning_rate: arguments.learning_rate.unwrap_or(recipe.learning_rate),
        schedule: arguments.schedule.map_or(schedule, Into::into),
        batch_size: arguments.batch_size.unwrap_or(recipe.batch_size),
        length: arguments.steps.map_or(Length::Epochs(epochs), Length::Steps),
        time_steps: arguments.time_steps.unwrap_or(recipe.time_steps),
        shift: arguments.shift.unwrap_or(shift),
        steps_per_call: arguments.steps_per_call,
        shuffle: !arguments.no_shuffle,
        seed: arguments.seed,
        init: arguments.init.clone(),
        out: arguments.out.clone().unwrap_or_else(|| default_folder(arguments.data.as_deref())),
        resume: arguments.resume,
    })
}

/// Whether a run is the user's own: the recipe's schedule and shifts were found for its model, data and optimizer together.
fn is_own(arguments: &Arguments) -> bool {
    let files = arguments.model.is_some() || arguments.data.is_some();
    files || arguments.optimizer.is_some() || arguments.learning_rate.is_some()
}

/// The rules that are named; the recipe's belong to the recipe's model, another one is quantized only on request.
fn rules(arguments: &Arguments, recipe: &Recipe) -> Result<Vec<RuleConfig>> {
    match &arguments.rules {
        Some(path) if path == Path::new("none") => Ok(Vec::new()),
        Some(path) => load_rules(path),
        None if arguments.model.is_some() => Ok(Vec::new()),
        None => Ok(linear_only_rules(recipe.weights, recipe.activations)),
    }
}

/// The data, which must be of the model's sizes.
fn dataset(arguments: &Arguments, network: &Network) -> Result<Dataset> {
    let (data, source) = match &arguments.data {
        // The labels are checked against the classes of a model that the user has chosen, else after the features.
        Some(path) => {
            let classes = arguments.model.is_some().then(|| network.classes());
            (Dataset::load(path, classes)?, path.display().to_string())
        }
        None => (Dataset::digits(), "the built-in digits".to_owned()),
    };
    let (classes, outputs) = (data.classes(), network.classes());
    let refused = match network.sample_shape(data.inputs().features()) {
        Ok(_) if classes <= outputs => return Ok(data),
        Ok(_) => format!("there are {classes} classes, but the model has {outputs} outputs"),
        Err(error) => error.to_string(),
    };
    Err(Error::input(match arguments.model {
        Some(_) => format!("{source}: {refused}"),
        None => format!("{source}: {refused}; the model is the recipe's, give another one with --model"),
    }))
}

fn default_folder(data: Option<&Path>) -> PathBuf {
    let name = data.and_then(Path::file_stem).unwrap_or("digits".as_ref());
    Path::new("runs").join(name)
}

/// A flag that Ctrl-C sets. The second one ends the process, in case a device no longer answers.
fn stop_at_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let set = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        screen::note("stopping after this step to save it; Ctrl-C again stops at once");
    });
    // Without a handler Ctrl-C ends the process as it always does.
    drop(set);
    stop
}

fn interrupted() -> Error {
    let mut line: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--resume").collect();
    line.push("--resume".to_owned());
    let quoted = line.iter().map(|argument| match argument.contains(char::is_whitespace) {
        true => format!("'{argument}'"),
        false => argument.clone(),
    });
    let message = format!("stopped by Ctrl-C and saved; to go on: spiq {}", quoted.collect::<Vec<_>>().join(" "));
    Error::new(ErrorKind::Interrupted, message)
}

fn table(summary: &Summary, options: &Options) -> String {
    let quantized = if options.network.rules().is_empty() { "full precision" } else { "quantized" };
    // Without a test part the accuracy says nothing about samples that were never seen.
    let of = if options.test.has_test_part() { "test accuracy" } else { "accuracy on the training samples" };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row(&format!("{of}, {quantized}"), format!("{:.2} %", 100.0 * summary.test_accuracy)),
        row("seconds", format!("{:.2}", summary.seconds)),
        row("steps", summary.steps.to_string()),
        row("steps per second", format!("{:.0}", summary.steps_per_second)),
    ];
    for (path, rate) in &summary.spike_rates {
        rows.push(row(&format!("spikes a neuron and step, {path}"), format!("{rate:.4}")));
    }
    for (i, file) in summary.files.iter().enumerate() {
        rows.push(row(if i == 0 { "files" } else { "" }, file.display().to_string()));
    }
    format!("\n{}", table::aligned(&[], &rows))
}

impl From<Optimizer> for train::Optimizer {
    fn from(optimizer: Optimizer) -> train::Optimizer {
        match optimizer {
            Optimizer::Lion => train::Optimizer::Lion,
            Optimizer::Adam => train::Optimizer::Adam,
            Optimizer::Adamw => train::Optimizer::Adamw,
            Optimizer::Sgd => train::Optimizer::Sgd,
        }
    }
}

impl From<Schedule> for train::Schedule {
    fn from(schedule: Schedule) -> train::Schedule {
        match schedule {
            Schedule::Constant => train::Schedule::Constant,
            Schedule::Cosine => train::Schedule::Cosine,
        }
    }
}
