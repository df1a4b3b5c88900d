//! `spiq predict`: a network's outputs for a data set, as a file. Knows nothing of how they are computed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use spiq::config::{ModelConfig, RuleConfig, load_rules, parse_rules};
use spiq::data::{ArrayFile, Inputs};
use spiq::network::Network;
use spiq::predict::{Settings, outputs, outputs_of_stored};
use spiq::ptq::{is_quantized, read_weights};
use spiq::quant::Mode;
use spiq::train::Checkpoint;
use spiq::{Error, Result};

use super::choice::{self, Device, Numerics, Rounding};
use super::{argument, client, screen};

const EXAMPLES: &str = "\
Example, after `spiq train`:
  cd runs/digits
  spiq predict --model model.toml --params params.safetensors --rules rules.toml --data D.safetensors --output O.safetensors

Data are a safetensors file with `inputs` [N, T, …] (u8 or f32) or `images` [N, …] (u8, encoded as spikes); labels are
not needed. The output file holds `outputs`, f32 [N, T, C]: what the last layer gives at each time step.

The spikes of image n are drawn from fold_in(PRNGKey(seed), n) in JAX's terms, so they do not depend on the batch size.";

/// Compute what a network gives for each sample of a file
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The network
    #[arg(long, value_name = "M.toml")]
    model: PathBuf,
    /// Its parameters, as `spiq train` leaves them, or its quantized weights, as `spiq quantize` does
    #[arg(long, value_name = "P.safetensors")]
    params: PathBuf,
    /// Samples
    #[arg(long, value_name = "D.safetensors")]
    data: PathBuf,
    /// What is quantized and how [default: nothing, full precision; for quantized weights the rules they were made by]
    #[arg(long, value_name = "R.toml")]
    rules: Option<PathBuf>,
    /// Whether rules round as in training (qat) or after it (ptq); the outputs are the same
    #[arg(long, value_enum, default_value = "qat")]
    mode: Rounding,
    /// How numbers are rounded [default: as they were in training]
    #[arg(long, value_enum)]
    numerics: Option<Numerics>,
    /// Samples at a time
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "64")]
    batch_size: usize,
    /// Time steps that images are encoded over; spike trains keep their own
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "32")]
    time_steps: usize,
    /// What the encoding of images is drawn from
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: i64,
    /// The file to write, whole or not at all
    #[arg(long, value_name = "O.safetensors")]
    output: PathBuf,
    /// Where it runs; the CPU's plugin is installed at the first use
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File` for files that are not usable or do not fit each other; what PJRT says.
pub fn run(arguments: &Arguments) -> Result<()> {
    let source = arguments.params.display().to_string();
    let file = ArrayFile::read(&arguments.params)?;
    let stored = is_quantized(&file);
    let mode = arguments.mode.into();
    if stored && mode != Mode::Ptq {
        return Err(Error::input(format!("{source} holds quantized weights; add --mode ptq")));
    }
    let network = Network::new(ModelConfig::load(&arguments.model)?, rules(arguments, &file, stored)?)?
        .with_numerics(choice::numerics(arguments.numerics, &file.metadata, &source)?);
    let params = match stored {
        true => read_weights(&file, &network, &source)?,
        false => {
            let checkpoint = Checkpoint { arrays: file.arrays, metadata: BTreeMap::new() };
            let mut params = checkpoint.select(&network.parameter_types(), &source)?;
            params.extend(checkpoint.statistics());
            params
        }
    };
    let inputs = Inputs::load(&arguments.data)?;
    check_folder(&arguments.output)?;
    if let Some(difference) = difference(&file.metadata, &network) {
        let made = if stored { "quantized" } else { "trained" };
        screen::note(&format!("note: {source} was {made} {difference}"));
    }
    let settings =
        Settings { batch_size: arguments.batch_size, time_steps: arguments.time_steps, seed: arguments.seed, mode };
    let client = client::open(arguments.device)?;
    let outputs = if stored { outputs_of_stored } else { outputs };
    let outputs = outputs(&client, &network, &params, &inputs, &settings)?;
    let said = format!("{}: outputs {}\n", arguments.output.display(), outputs.ty());
    let file = ArrayFile { arrays: [("outputs".to_owned(), outputs)].into(), ..ArrayFile::default() };
    file.write(&arguments.output)?;
    screen::print(&said)
}

/// The rules that are named; quantized weights bring their own.
fn rules(arguments: &Arguments, file: &ArrayFile, stored: bool) -> Result<Vec<RuleConfig>> {
    match (&arguments.rules, file.metadata.get("rules")) {
        (Some(path), _) => load_rules(path),
        (None, Some(text)) if stored => parse_rules(text, &format!("the rules in {}", arguments.params.display())),
        _ => Ok(Vec::new()),
    }
}

/// Finds out before the work whether its result can be written.
pub(super) fn check_folder(output: &Path) -> Result<()> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |cause| Error::file(output, "write", cause);
    if output.is_dir() {
        return Err(cannot(std::io::ErrorKind::IsADirectory.into()));
    }
    tempfile::NamedTempFile::new_in(folder).map(drop).map_err(cannot)
}

/// In what the run that left these parameters was another than what they are used for now, if it says so. Sizes are the
/// same; thresholds and roundings change the outputs without a complaint from anyone.
fn difference(metadata: &BTreeMap<String, String>, network: &Network) -> Option<&'static str> {
    let text = |key: &str| metadata.get(key).map(String::as_str);
    let model = text("model").and_then(|text| ModelConfig::parse(text, "the metadata").ok());
    if model.is_some_and(|model| model != *network.config()) {
        return Some("as another model; the metadata has it");
    }
    let rules = text("rules").map(|text| parse_rules(text, "the metadata").unwrap_or_default());
    match rules {
        Some(rules) if network.rules().is_empty() && !rules.is_empty() => {
            Some("with rules; without --rules the outputs are those of full precision")
        }
        Some(rules) if !network.rules().is_empty() && rules != network.rules() => Some("with other rules"),
        _ => None,
    }
}
