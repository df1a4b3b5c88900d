//! `spiq predict`: writes a network's outputs for a data set to a file.

use std::path::{Path, PathBuf};

use clap::Args;
use spiq::data::{ArrayFile, Coding, Dataset, Inputs, Reading};
use spiq::network::Network;
use spiq::nn::Readout;
use spiq::predict::{Predictions, Settings, Weights, predictions};
use spiq::provenance::{Provenance, key};
use spiq::ptq::{is_quantized, read_weights};
use spiq::quant::Mode;
use spiq::train::{Checkpoint, check_finite, naming_the_older};
use spiq::{Error, Result, table};

use super::argument::Devices;
use super::choice::{Device, Numerics, Rounding};
use super::evaluate::params_of;
use super::recordings::{self, Recordings};
use super::trained::{self, Trained, with_matched_rules};
use super::{argument, client, output, screen};

const EXAMPLES: &str = "\
Example, after `spiq train`:
  cd runs/digits
  spiq predict --params params.safetensors --data D.safetensors --output O.safetensors

Settings not given as flags come from the parameters: model, rules, rounding, time steps, the encoding of images. The test
accuracy is therefore the one that training printed. A flag that differs takes precedence, with a note.

Data is a safetensors file with `inputs` [N, T, …] (u8 or f32) or `images` [N, …] (u8, encoded as spikes); with `labels`
[N], the accuracy is printed as well. The output file holds `outputs`, f32 [N, T, C]: the last layer's output at each time step.

The spikes of images are drawn as in the test of the training, which used the file's test part. With --seed, and for
parameters that do not record their training, the spikes of image n are drawn from fold_in(PRNGKey(seed), n) in JAX's terms,
so they do not depend on the batch size.";

/// Compute a network's outputs for each sample of a file
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Model file [default: that of the training, if the parameters record it]
    #[arg(long, value_name = "M.toml")]
    model: Option<PathBuf>,
    /// Parameter file written by `spiq train`, or quantized weights written by `spiq quantize`; with --run also `last` or `best`, for the
    /// epoch [default with --run: last]
    #[arg(long, value_name = "P.safetensors", required_unless_present = "run")]
    params: Option<PathBuf>,
    /// Accept parameters that contain NaN or infinite values
    #[arg(long)]
    allow_nonfinite: bool,
    /// Results folder of the run to which --params refers
    #[arg(long, value_name = "RUN_DIR")]
    run: Option<PathBuf>,
    /// Samples: a safetensors file, or event recordings
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Quantization rules; `none` for full precision [default: those of the training; none, if the parameters do not record them]
    #[arg(long, value_name = "R.toml | none")]
    rules: Option<PathBuf>,
    /// Leave out rules that apply to no operation of the model, with a note, instead of refusing them: for rules shared between models
    #[arg(long)]
    allow_unmatched: bool,
    /// Round as in training (qat) or as after it (ptq); the outputs are the same
    #[arg(long, value_enum, default_value = "qat")]
    mode: Rounding,
    /// Rounding: exact, or as qwix rounds [default: as in training]
    #[arg(long, value_enum)]
    numerics: Option<Numerics>,
    /// Batch size [default: that of the training's test; 64, if the parameters do not record their training]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    batch_size: Option<usize>,
    /// Time steps over which images are encoded; spike trains keep their own number [default: as in training; 32, if the parameters do not
    /// record it]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    time_steps: Option<usize>,
    /// Seed of the image encoding, drawn for each image separately [default: as in the test of the training; 0, if the parameters do not
    /// record it]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<i64>,
    /// Output file, written completely or not at all
    #[arg(long, value_name = "O.safetensors")]
    output: PathBuf,
    /// Device to run on; the CPU plugin is installed on first use
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    /// Devices that compute batches at the same time: a number, or `all`; the outputs do not depend on it
    #[arg(long, value_name = "N | all", value_parser = argument::devices, default_value = "1")]
    devices: Devices,
    #[command(flatten)]
    recordings: Recordings,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File` for unusable or mismatched files; PJRT's errors.
pub fn run(arguments: &Arguments) -> Result<()> {
    let path = match (&arguments.run, &arguments.params) {
        (Some(run), which) => params_of(run, which.as_deref().unwrap_or(Path::new("last")))?,
        (None, params) => params.clone().unwrap_or_default(),
    };
    let source = path.display().to_string();
    let file = ArrayFile::read(&path).map_err(|error| naming_the_older(error, &path))?;
    let stored = is_quantized(&file);
    let mode: Mode = arguments.mode.into();
    if stored && mode != Mode::Ptq {
        return Err(Error::input(format!("{source} holds quantized weights; add --mode ptq")));
    }
    let trained = Trained::read(&file.metadata, source)?;
    let network = trained.network(arguments.model.as_deref(), arguments.rules.as_deref(), arguments.numerics)?;
    let network = with_matched_rules(network, arguments.allow_unmatched)?;
    let params = match stored {
        true => read_weights(&file, &network, &trained.source)?,
        false => {
            let checkpoint = Checkpoint { arrays: file.arrays, metadata: file.metadata };
            let mut params = checkpoint.select(&network.array_types(), &trained.source)?;
            params.extend(checkpoint.statistics());
            if !arguments.allow_nonfinite {
                check_finite(&params, &trained.source)?;
            }
            params
        }
    };
    let data = Data::load(arguments, &trained.provenance, &network)?;
    let read = [Some(&arguments.data), arguments.params.as_ref(), arguments.model.as_ref(), arguments.rules.as_ref()];
    output::check(&arguments.output, read.into_iter().flatten().map(PathBuf::as_path))?;
    output::check_beside_runs(&arguments.output, arguments.run.as_deref())?;
    let settings = settings(arguments, &trained.provenance, &data);
    let client = client::open_with(arguments.device, arguments.devices)?;
    let settings = Settings { devices: client::count(&client, arguments.devices), ..settings };
    let weights = if stored { Weights::Stored(&params) } else { Weights::Trained(&params) };
    let predicted = predictions(&client, &network, weights, &data.inputs, &settings)?;
    let said = said(&predicted, &data, &network, &arguments.output);
    let file = ArrayFile { arrays: [("outputs".to_owned(), predicted.outputs)].into(), ..ArrayFile::default() };
    file.write(&arguments.output)?;
    data.note.iter().for_each(|note| screen::note(note));
    note(arguments, &trained, &now(&network, &client, &data, &settings), &data.inputs);
    screen::print(&said)
}

/// Prints notes where the outputs are not those of the training's test.
fn note(arguments: &Arguments, trained: &Trained, now: &Provenance, inputs: &Inputs) {
    let images = inputs.encoder().is_some();
    let open = [
        (key::rules, arguments.rules.is_none()),
        (key::numerics, arguments.numerics.is_none() && now.rules.as_ref().is_some_and(|rules| !rules.is_empty())),
        (key::time_steps, arguments.time_steps.is_none() && images),
        (key::seed, arguments.seed.is_none() && images),
    ];
    let open: Vec<&str> = open.into_iter().filter_map(|(name, open)| open.then_some(name)).collect();
    trained.note(now, &open);
    if let (Some(seed), Some(then), true) = (arguments.seed, trained.provenance.seed, images) {
        screen::note(&format!(
            "note: spikes are drawn with --seed {seed}, separately for each image, not as in the test of the training (seed {then})"
        ));
    }
}

/// Samples, with labels if the file has them.
struct Data {
    inputs: Inputs,
    labelled: Option<Dataset>,
    /// The index of the first test sample; a file without a test part consists of test samples.
    test_part: usize,
    /// How recordings were read.
    reading: Provenance,
    /// A note on events that were dropped.
    note: Option<String>,
}

impl Data {
    fn load(arguments: &Arguments, trained: &Provenance, network: &Network) -> Result<Data> {
        let path = &arguments.data;
        let source = path.display().to_string();
        let reading = arguments.recordings.reading(path, trained)?;
        let mut read = recordings::file(path, &reading)?;
        if let Some(speaker) = &trained.test_speaker {
            // Other data may not contain this speaker.
            _ = read.test_on(speaker, path);
        }
        let reading = Reading { binning: read.binning.unwrap_or_default(), ..reading };
        let (file, note, reading) = (read.file, read.note, Provenance::of_reading(Some(&reading)));
        let inputs = Inputs::from_file(&file, &source)?;
        let test_part = Dataset::test_start(&file, &inputs, &source)?.unwrap_or(0);
        if !file.arrays.contains_key("labels") {
            return Ok(Data { inputs, labelled: None, test_part, reading, note });
        }
        // Outputs do not depend on labels, so bad ones are only noted.
        let labelled = match Dataset::from_file(&file, &source, Some(network.classes())) {
            Ok(data) => Some(data),
            Err(error) => {
                screen::note(&format!("note: no accuracy: {error}"));
                None
            }
        };
        Ok(Data { inputs, labelled, test_part, reading, note })
    }
}

/// Settings from flags, else from the training, else defaults.
fn settings(arguments: &Arguments, trained: &Provenance, data: &Data) -> Settings {
    let default = Settings::default();
    // Draw each image separately if the user gives a seed or the test's seed is unknown.
    let as_in_test = arguments.seed.is_none() && trained.seed.is_some();
    let batch_size = if as_in_test { usize::MAX } else { default.batch_size };
    Settings {
        batch_size: arguments.batch_size.unwrap_or(batch_size),
        time_steps: arguments.time_steps.or(trained.time_steps).unwrap_or(default.time_steps),
        seed: arguments.seed.or(trained.seed).unwrap_or(default.seed),
        test_part: as_in_test.then_some(data.test_part),
        coding: trained.coding,
        mode: arguments.mode.into(),
        devices: default.devices,
        // A custom metric does not define a class.
        readout: trained.metric.as_deref().and_then(Readout::of_accuracy).unwrap_or_default(),
    }
}

/// The settings that determine the outputs now.
fn now(network: &Network, client: &spiq::pjrt::Client, data: &Data, settings: &Settings) -> Provenance {
    let inputs = &data.inputs;
    let own = inputs.coding();
    let time_steps = inputs.steps().unwrap_or(settings.time_steps);
    Provenance {
        time_steps: Some(time_steps),
        coding: Some(settings.coding.map_or(own, |trained: Coding| inputs.coding_for(trained))),
        // Only images are encoded at random.
        seed: inputs.encoder().map(|_| settings.seed),
        ..Provenance::of(network, client).or(data.reading.clone())
    }
}

/// The output file and, with labels, the accuracy.
fn said(predicted: &Predictions, data: &Data, network: &Network, output: &Path) -> String {
    let written = format!("{}: outputs {}\n", output.display(), predicted.outputs.ty());
    let Some(labelled) = data.labelled.as_ref().filter(|_| !predicted.classes.is_empty()) else { return written };
    let (labels, first) = (labelled.labels(), data.test_part);
    let row = |what: &str, accuracy: f32| vec![trained::accuracy_of(what, network), trained::percent(accuracy)];
    let rows = match labelled.has_test_part() {
        true => vec![
            row("test accuracy", predicted.accuracy(&labels[first..], first)),
            row("accuracy on the training samples", predicted.accuracy(&labels[..first], 0)),
        ],
        false => vec![row("accuracy", predicted.accuracy(labels, 0))],
    };
    format!("{written}{}", table::aligned(&[], &rows))
}
