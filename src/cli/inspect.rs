//! `spiq inspect`: prints a network's program after each stage on its way to the device. Knows nothing of the stages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use spiq::config::ModelConfig;
use spiq::native::{self, Target};
use spiq::network::Network;
use spiq::pjrt::CompileOptions;
use spiq::quant::{Mode, Rules};
use spiq::{DType, Error, ErrorKind, Function, PrintOptions, Program, Result, TensorType};

use super::choice::{Device, GradDtype, Numerics, Rounding};
use super::{argument, client, screen};

const EXAMPLES: &str = "\
The stages, each with what those before it did:
  trace      the forward pass as the layers say it, one scan over time
  quantize   weights and activations rounded by the rules; a table says what became of each operation
  split      products of all time steps at once, neurons in loops
  grad       the loss (integral cross-entropy) and its gradient by each parameter
  lower      in StableHLO's operations alone
  stablehlo  simplified: the text that the plugin compiles
  hlo        as the plugin's compiler optimizes it, for its device

Examples:
  spiq inspect --model model.toml --rules rules.toml --stage quantize --report
  spiq inspect --model model.toml --stage stablehlo --forward > model.mlir
  spiq inspect --model model.toml --rules rules.toml --target cuda:h100    (spiq plugin install cuda13 fetches its compiler)";

/// Print a network's program after a stage on its way to the device
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The network
    #[arg(long, value_name = "M.toml")]
    model: PathBuf,
    /// What is quantized and how [default: nothing]
    #[arg(long, value_name = "R.toml")]
    rules: Option<PathBuf>,
    /// Up to where
    #[arg(long, value_enum, required_unless_present = "target")]
    stage: Option<Stage>,
    /// Compile for this chip, which need not be there, and print which of its units each product reaches: cpu, tpu:v5e,
    /// tpu:v6e, cuda:h100, …
    #[arg(long, value_name = "CHIP", conflicts_with_all = ["stage", "report", "locations", "device"])]
    target: Option<String>,
    /// Print only the table of what became of each operation
    #[arg(long)]
    report: bool,
    /// Leave the gradient out of later stages: the program that predicts
    #[arg(long)]
    forward: bool,
    /// Whether rules round for training (qat) or after it (ptq, which has no gradient)
    #[arg(long, value_enum, default_value = "qat")]
    mode: Rounding,
    /// How numbers are rounded
    #[arg(long, value_enum, default_value = "exact")]
    numerics: Numerics,
    /// Element type of the products that give the gradients
    #[arg(long, value_enum, default_value = "f32")]
    grad_dtype: GradDtype,
    /// Inputs are spikes, booleans, instead of numbers of which nothing is known
    #[arg(long)]
    spikes: bool,
    /// Time steps of a tile, for which each layer computes its products at once [default: all]
    #[arg(long, value_name = "K", value_parser = argument::count)]
    time_tile: Option<usize>,
    /// Samples in the batch
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "8")]
    batch_size: usize,
    /// Time steps
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "16")]
    time_steps: usize,
    /// Add to each operation the layer and the source line that it comes from (not for stablehlo and hlo)
    #[arg(long)]
    locations: bool,
    /// Whose compiler optimizes it in the stage hlo
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Stage {
    Trace,
    Quantize,
    Split,
    Grad,
    Lower,
    Stablehlo,
    Hlo,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File` for files that are not usable or do not fit each other; what PJRT says.
pub fn run(arguments: &Arguments) -> Result<()> {
    let rules = arguments.rules.as_deref().map_or(Ok(Rules::default()), Rules::load)?;
    let network = Network::with_rules(ModelConfig::load(&arguments.model)?, rules)
        .with_numerics(arguments.numerics.into())
        .with_gradients(arguments.grad_dtype.into())
        .with_time_tile(arguments.time_tile);
    let dims = [vec![arguments.time_steps, arguments.batch_size], network.config().input_shape()].concat();
    let x = TensorType::new(if arguments.spikes { DType::Pred } else { DType::F32 }, dims);
    if let Some(target) = &arguments.target {
        let function = program(arguments, &network, &x, true)?;
        return screen::print(&native::report(&Target::parse(target)?, &function)?.to_string());
    }
    if arguments.report {
        return screen::print(&network.quantized(&x, Mode::from(arguments.mode))?.report.to_string());
    }
    screen::print(&text(arguments, &network, &x)?)
}

fn text(arguments: &Arguments, network: &Network, x: &TensorType) -> Result<String> {
    let options = PrintOptions { locations: arguments.locations, ..PrintOptions::default() };
    let print = |function: &Function| function.stablehlo(&network.config().name, &options);
    let mode = Mode::from(arguments.mode);
    let stage = arguments.stage.unwrap_or(Stage::Stablehlo);
    match stage {
        Stage::Trace => Ok(print(&network.trace(x)?)),
        Stage::Quantize => {
            let quantized = network.quantized(x, mode)?;
            // As comments, so that the whole is still a program.
            let report: String = quantized.report.to_string().lines().map(|line| format!("// {line}\n")).collect();
            Ok(format!("{report}{}", print(&quantized.function)))
        }
        Stage::Split => Ok(print(&network.forward(x, mode)?.function)),
        _ => {
            let function = program(arguments, network, x, stage > Stage::Grad)?;
            let program = Program::named(network.config().name.as_str());
            match stage {
                Stage::Lower => {
                    let lowered =
                        function.lower().map_err(|errors| Error::new(ErrorKind::Graph, errors.to_string()))?;
                    Ok(print(&lowered))
                }
                Stage::Stablehlo => program.text(&function),
                Stage::Hlo => {
                    let options = CompileOptions { inputs: Some(function.input_types()), ..CompileOptions::default() };
                    let client = client::open(arguments.device)?;
                    client.optimized_hlo(&program.text_for(&client, &function)?, &options)
                }
                _ => Ok(print(&function)),
            }
        }
    }
}

/// The program of the later stages: with the gradient, unless it is not wanted (later than the stage of that name) or there
/// is none.
fn program(arguments: &Arguments, network: &Network, x: &TensorType, later: bool) -> Result<Function> {
    let forward = network.forward(x, Mode::from(arguments.mode))?;
    match later && (arguments.forward || arguments.mode == Rounding::Ptq) {
        true => Ok(forward.function),
        false => forward.gradient(),
    }
}
