//! `spiq inspect`: prints a network's program after each compilation stage, or a compiler's result.

use std::path::PathBuf;

use clap::Args;
use spiq::augment::Augmentation;
use spiq::compile::{Destination, Pipeline, Program, STAGES, Sharding, Source, Stage};
use spiq::config::ModelConfig;
use spiq::native::{self, Target};
use spiq::network::{Network, Pass};
use spiq::optim::{OPTIMIZERS, Optimizer};
use spiq::quant::{Mode, Rules};
use spiq::{DType, Error, Function, Result, TensorType, table};

use super::argument::{Devices, calls, names};
use super::choice::{Device, GradDtype, Numerics, Rounding};
use super::recordings::Recordings;
use super::trained::with_matched_rules;
use super::{argument, client, screen, step};

const EXAMPLES: &str = "\
Without --device, the program is device-independent and has no kernels, except in the stages kernels and hlo, whose default
is the cpu. Only the stage hlo and --devices all need the device itself.

Examples:
  spiq inspect --model model.toml --rules rules.toml --stage quantize --report
  spiq inspect --model model.toml --stage stablehlo --forward > model.mlir
  spiq inspect --model model.toml --stage kernels --spikes                 each neuron loop as its kernel's program
  spiq inspect --model model.toml --rules rules.toml --target cuda:h100    (spiq plugin install cuda13 fetches its compiler)
  spiq inspect --model model.toml --target cuda:h100 --step --spikes       launches in the training step of spiq train";

/// Print a network's program after a stage of its compilation
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Model file
    #[arg(long, value_name = "M.toml")]
    model: PathBuf,
    /// Quantization rules [default: none]
    #[arg(long, value_name = "R.toml")]
    rules: Option<PathBuf>,
    /// Leave out rules that apply to no operation of the model, with a note, instead of refusing them: for rules shared between models
    #[arg(long)]
    allow_unmatched: bool,
    /// Last stage to run; each stage starts from the result of those before it
    #[arg(long, value_parser = names(STAGES), required_unless_present_any = ["target", "report"])]
    stage: Option<String>,
    /// Compile for this chip, which need not be present, and print which of its units each product uses: cpu, tpu:v5e, tpu:v6e, cuda:h100,
    /// … The program is the one that would run there, with its kernels and compile options
    #[arg(long, value_name = "CHIP", conflicts_with_all = ["stage", "report", "locations", "device"])]
    target: Option<String>,
    /// Print only the table of how each operation was quantized
    #[arg(long)]
    report: bool,
    /// Omit the gradient from later stages: the program for prediction
    #[arg(long)]
    forward: bool,
    /// The whole training step of spiq train, from the stage grad on: encoder, loss, gradient and optimizer inside the loop over steps, on
    /// a data set in device memory, with parameters and state donated
    #[arg(long, conflicts_with = "forward")]
    step: bool,
    /// Data set for --step [default: generated samples, spikes with --spikes, of --time-steps steps, --batch-size of them]
    #[arg(long, value_name = "DATA | digits", requires = "step")]
    data: Option<PathBuf>,
    /// Optimizer of --step, with optax's defaults
    #[arg(long, value_name = "OPTIMIZER", value_parser = calls(OPTIMIZERS, |text| Optimizer::named(text, 1.0, "constant").map(drop)), default_value = "adam", requires = "step")]
    optimizer: String,
    /// Augmentations in --step, in the form that `spiq train` accepts
    #[arg(long, value_name = "AUGMENTATIONS | none", value_parser = Augmentation::parse, default_value = "none", requires = "step")]
    augment: Augmentation,
    /// Round for training (qat) or after it (ptq, which has no gradient)
    #[arg(long, value_enum, default_value = "qat")]
    mode: Rounding,
    /// Rounding: exact, or as qwix rounds
    #[arg(long, value_enum, default_value = "exact")]
    numerics: Numerics,
    /// Element type of the matrix products of the backward pass
    #[arg(long, value_enum, default_value = "f32")]
    grad_dtype: GradDtype,
    /// Inputs are spikes (booleans) instead of arbitrary numbers
    #[arg(long)]
    spikes: bool,
    /// Time steps per tile; each layer computes its products for a whole tile at once [default: all time steps]
    #[arg(long, value_name = "K", value_parser = argument::count)]
    time_tile: Option<usize>,
    /// Batch size
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "8")]
    batch_size: usize,
    /// Time steps
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "16")]
    time_steps: usize,
    /// Annotate each operation with its layer and source line (not for kernels, stablehlo and hlo)
    #[arg(long)]
    locations: bool,
    /// Target of the program: its kernels, and its compiler for the stage hlo [default: any; cpu for kernels and hlo]
    #[arg(long, value_enum)]
    device: Option<Device>,
    /// Devices that share the batch, from the stage shard on: the program of one of them; a number, or `all` that --device has
    #[arg(long, value_name = "N | all", value_parser = argument::devices_of_program, default_value = "1")]
    devices: Devices,
    #[command(flatten)]
    recordings: Recordings,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File` for unusable or mismatched files; PJRT's errors.
pub fn run(arguments: &Arguments) -> Result<()> {
    let rules = arguments.rules.as_deref().map_or(Ok(Rules::default()), Rules::load)?;
    let network = Network::with_rules(ModelConfig::load(&arguments.model)?, rules)
        .with_numerics(arguments.numerics.into())
        .with_gradients(arguments.grad_dtype.into())
        .with_time_tile(arguments.time_tile);
    let network = with_matched_rules(network, arguments.allow_unmatched)?;
    if arguments.report {
        let pass = Mode::from(arguments.mode);
        let report = network.quantized(&x_type(arguments, &network), pass)?.report;
        return screen::print(&format!("{report}{}", beside_products(&network)));
    }
    let stage = arguments.stage.as_deref().map(Stage::named).transpose()?;
    let devices = count(arguments)?;
    let trains = arguments.step && stage.is_none_or(|stage| stage >= Stage::Grad);
    let (program, step) = match trains {
        true => {
            let (program, function) = training_step(arguments, &network, devices)?;
            (program, Some(function))
        }
        false => (pass(arguments, &network, devices)?, None),
    };
    let x = x_type(arguments, &network);
    let gradient = !(arguments.forward || arguments.mode == Rounding::Ptq);
    let source = match &step {
        Some(function) => Source::Function(function),
        None => Source::Network { network: &network, x: &x, pass: Pass::from(Mode::from(arguments.mode)), gradient },
    };
    screen::print(&match (&arguments.target, stage) {
        (Some(target), _) => {
            let target = Target::parse(target)?;
            client::name_plugin(target.platform())?;
            native::report_program(&target, &program, &source.whole()?)?.to_string()
        }
        (None, stage) => text(arguments, source, &program, stage.unwrap_or(Stage::Stablehlo))?,
    })
}

/// The parameters that no rule can quantize.
fn beside_products(network: &Network) -> String {
    let row = |(path, (kind, names)): (String, (&str, Vec<String>))| vec![path, kind.to_owned(), names.join(", ")];
    let rows: Vec<Vec<String>> = network.beside_products().into_iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\nalways f32, because no product uses them:\n{}", table::aligned(&[], &rows))
}

/// The type of the input.
fn x_type(arguments: &Arguments, network: &Network) -> TensorType {
    let dims = [vec![arguments.time_steps, arguments.batch_size], network.config().input_shape()].concat();
    TensorType::new(if arguments.spikes { DType::Pred } else { DType::F32 }, dims)
}

/// The number of devices; only `all` needs the platform.
fn count(arguments: &Arguments) -> Result<usize> {
    match (arguments.devices, &arguments.target) {
        (Devices::One, _) => Ok(1),
        (Devices::Of(count), _) => Ok(count),
        (Devices::All, Some(target)) => Err(Error::input(format!(
            "--target {target} is a kind of chip, and does not say how many there are; give a number (--devices)"
        ))),
        (Devices::All, None) => {
            let client = client::open_with(arguments.device.unwrap_or(Device::Cpu), Devices::All)?;
            Ok(client::count(&client, Devices::All))
        }
    }
}

/// The program of a pass.
fn pass(arguments: &Arguments, network: &Network, devices: usize) -> Result<Program> {
    let sharding = Sharding::over(devices).dividing("x", 1).dividing("labels", 0);
    sharding.check_batch(arguments.batch_size, "--batch-size")?;
    Ok(Program { sharding, ..Program::named(network.config().name.as_str()) })
}

fn training_step(arguments: &Arguments, network: &Network, devices: usize) -> Result<(Program, Function)> {
    if arguments.mode == Rounding::Ptq {
        return Err(Error::input(
            "--mode ptq has no gradient, so there is no training step; leave out --step or --mode",
        ));
    }
    let made_up = x_type(arguments, network);
    let data = arguments.data.as_deref().map(|path| (path, &arguments.recordings));
    step::program(network, &made_up, devices, data, (&arguments.optimizer, &arguments.augment))
}

fn text(arguments: &Arguments, source: Source<'_>, program: &Program, stage: Stage) -> Result<String> {
    let ahead = |device: Device| Destination::ahead(device.into());
    let by_default = (stage == Stage::Kernels).then_some(Device::Cpu);
    let destination = arguments.device.or(by_default).map(ahead).unwrap_or_default();
    let pipeline = Pipeline { source, program, destination };
    match (stage, source) {
        (Stage::Hlo, _) => {
            let devices = Devices::Of(program.sharding.devices);
            let client = client::open_with(arguments.device.unwrap_or(Device::Cpu), devices)?;
            let pipeline = Pipeline { destination: Destination::of(&client), ..pipeline };
            client.optimized_hlo(&pipeline.text(stage, false)?, &pipeline.options()?)
        }
        (Stage::Quantize, Source::Network { network, x, pass, .. }) => {
            // As comments, so that the output is still a valid program.
            let report = format!("{}{}", network.quantized(x, pass)?.report, beside_products(network));
            let report: String = report.lines().map(|line| format!("// {line}\n")).collect();
            Ok(format!("{report}{}", pipeline.text(stage, arguments.locations)?))
        }
        _ => pipeline.text(stage, arguments.locations),
    }
}
