//! `spiq quantize`: writes a network's quantized weights to a file and prints a table of the errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use spiq::data::Inputs;
use spiq::network::Network;
use spiq::pjrt::Client;
use spiq::predict::{Settings, calibrate};
use spiq::provenance::{Provenance, key};
use spiq::ptq::{Quantization, WeightReport, quantize_weights};
use spiq::train::{Checkpoint, check_finite};
use spiq::{Array, Result, table};

use super::choice::{Device, Numerics};
use super::recordings::{self, Recordings};
use super::trained::{Trained, with_matched_rules};
use super::{argument, client, output, screen};

const EXAMPLES: &str = "\
Example, after `spiq train`:
  cd runs/digits
  spiq quantize --params params.safetensors --output Q.safetensors
  spiq predict --params Q.safetensors --mode ptq --data D.safetensors --output O.safetensors

The outputs of `spiq predict` are bit-identical to those of the original parameters with the same rules.

For each weight that a rule quantizes, the file holds its values (PATH/qvalue: int8 in I8, float8 in F8_E4M3 or F8_E5M2, types of
four bits and fewer packed into U8, the first value in the lowest bits; if that is smaller, only the nonzero values, with the number
of zeros before each in PATH/gaps, where 255 means 255 zeros and no value), scales (PATH/scale) and zero points (PATH/zero_point).
Everything else is stored unchanged. The metadata contains the model, the rules, the type of each weight (qtype:PATH), and the
parameters' record of their training.

Normalization is folded into the preceding weights (its factor into their scales, the rest into a bias), as neuromorphic chips
require; an Identity layer takes its position. --no-fold keeps it.

Rules with act_static_scale need statistics: those stored with the parameters by training, or new ones with --calibrate.";

/// Quantize a network's weights and store them in that form
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Model file [default: that of the training, if the parameters record it]
    #[arg(long, value_name = "M.toml")]
    model: Option<PathBuf>,
    /// Parameter file written by `spiq train`
    #[arg(long, value_name = "P.safetensors")]
    params: PathBuf,
    /// Quantization rules [default: those of the training, if the parameters record them]
    #[arg(long, value_name = "R.toml")]
    rules: Option<PathBuf>,
    /// Leave out rules that apply to no operation of the model, with a note, instead of refusing them: for rules shared between models
    #[arg(long)]
    allow_unmatched: bool,
    /// Samples from which to calibrate static scales, in whole batches: a safetensors file, or event recordings, read as in training
    /// [default: the statistics stored with the parameters]
    #[arg(long, value_name = "DATA")]
    calibrate: Option<PathBuf>,
    /// Keep normalization as separate layers instead of folding it into the preceding weights
    #[arg(long)]
    no_fold: bool,
    /// Rounding: exact, or as qwix rounds [default: as in training]
    #[arg(long, value_enum)]
    numerics: Option<Numerics>,
    /// Accept parameters that contain NaN or infinite values
    #[arg(long)]
    allow_nonfinite: bool,
    /// Batch size for calibration
    #[arg(long, value_name = "N", value_parser = argument::count, default_value = "64")]
    batch_size: usize,
    /// Time steps over which images are encoded for calibration; spike trains keep their own number [default: as in training; 32, if the
    /// parameters do not record it]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    time_steps: Option<usize>,
    /// Seed of the image encoding for calibration
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: i64,
    /// Output file, written completely or not at all
    #[arg(long, value_name = "Q.safetensors")]
    output: PathBuf,
    /// Device to run on; the CPU plugin is installed on first use
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    #[command(flatten)]
    recordings: Recordings,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File` for unusable or mismatched files; PJRT's errors.
pub fn run(arguments: &Arguments) -> Result<()> {
    let checkpoint = Checkpoint::load(&arguments.params)?;
    let trained = Trained::read(&checkpoint.metadata, arguments.params.display().to_string())?;
    let network = trained.network(arguments.model.as_deref(), arguments.rules.as_deref(), arguments.numerics)?;
    let network = with_matched_rules(network, arguments.allow_unmatched)?;
    let mut params = checkpoint.select(&network.array_types(), &trained.source)?;
    params.extend(checkpoint.statistics());
    if !arguments.allow_nonfinite {
        check_finite(&params, &trained.source)?;
    }
    let inputs =
        arguments.calibrate.as_deref().map(|path| inputs(path, &arguments.recordings, &trained)).transpose()?;
    let read = [
        Some(arguments.params.as_path()),
        arguments.model.as_deref(),
        arguments.rules.as_deref(),
        arguments.calibrate.as_deref(),
    ];
    output::check(&arguments.output, read.into_iter().flatten())?;
    let client = client::open(arguments.device)?;
    if let Some(inputs) = inputs {
        params.extend(calibrated(arguments, &trained.provenance, &client, &network, &params, &inputs)?);
    }
    // Not compared: rules are chosen at quantization, and folding happens here.
    let as_trained = Provenance { rules: None, ..Provenance::of_network(&network) };
    let (network, params, taken_in) = match arguments.no_fold {
        true => (network, params, Vec::new()),
        false => {
            let (network, folded) = network.folded(&params);
            (network, folded.params, folded.pairs)
        }
    };
    let mut quantization = quantize_weights(&client, &network, &params)?;
    // Record the network as it is now, and the training as it was.
    Provenance::of_network(&network).or(trained.provenance.clone()).write(&mut quantization.file.metadata);
    quantization.file.write(&arguments.output)?;
    let open: &[&str] = if arguments.numerics.is_none() { &[key::numerics] } else { &[] };
    trained.note(&as_trained, open);
    for (gone, into) in &taken_in {
        screen::note(&format!("note: {gone} was folded into {into}"));
    }
    screen::print(&shown(&quantization, &arguments.output))
}

fn inputs(path: &Path, flags: &Recordings, trained: &Trained) -> Result<Inputs> {
    let read = recordings::file(path, &flags.reading(path, &trained.provenance)?)?;
    read.note.iter().for_each(|note| screen::note(note));
    Inputs::from_file(&read.file, &path.display().to_string())
}

fn calibrated(
    arguments: &Arguments,
    trained: &Provenance,
    client: &Client,
    network: &Network,
    params: &BTreeMap<String, Array>,
    inputs: &Inputs,
) -> Result<BTreeMap<String, Array>> {
    let settings = Settings {
        batch_size: arguments.batch_size,
        time_steps: arguments.time_steps.or(trained.time_steps).unwrap_or(Settings::default().time_steps),
        seed: arguments.seed,
        coding: trained.coding,
        ..Settings::default()
    };
    calibrate(client, network, params, inputs, &settings)
}

fn shown(quantization: &Quantization, output: &Path) -> String {
    let size = |bytes: usize| screen::bytes(bytes as u64);
    let row = |row: &WeightReport| {
        vec![
            row.path.clone(),
            row.qtype.to_string(),
            size(row.before),
            size(row.after),
            format!("{:.3e}", row.max_error),
            format!("{:.3} %", 100.0 * row.rms_error),
        ]
    };
    let mut rows: Vec<Vec<String>> = quantization.weights.iter().map(row).collect();
    let [before, after] = [|row: &WeightReport| row.before, |row: &WeightReport| row.after]
        .map(|of| quantization.weights.iter().map(of).sum::<usize>());
    if quantization.after > after {
        // Biases, decays, parameters of norms, and the statistics of static scales.
        let rest = [quantization.before - before, quantization.after - after].map(size);
        rows.push(vec!["all others, unchanged".into(), String::new(), rest[0].clone(), rest[1].clone()]);
    }
    rows.push(vec!["all arrays".into(), String::new(), size(quantization.before), size(quantization.after)]);
    let head = ["weight", "type", "before", "after", "largest error", "error (rms, relative)"];
    format!("{}\n{}: {} written\n", table::aligned(&head, &rows), output.display(), size(quantization.after))
}
