//! `spiq evaluate`: evaluates a trained network on labelled samples and prints a table or JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use spiq::data::{Dataset, replace_file};
use spiq::display::confusion;
use spiq::network::Network;
use spiq::nn::Readout;
use spiq::pjrt::Client;
use spiq::provenance::{Digest, Provenance};
use spiq::ptq::quantize_weights;
use spiq::train::{
    Checkpoint, Conditions, Counted, Evaluated, Operations, Record, check_finite, checkpoint_with_note, evaluate,
    read_records,
};
use spiq::{Array, Error, Result, table};

use super::choice::Device;
use super::recordings::{self, Recordings};
use super::train::to_go_on;
use super::trained::{self, Trained};
use super::{argument, client, output, rates, screen};

const EXAMPLES: &str = "\
Examples, after `spiq train --out runs/digits`:
  spiq evaluate runs/digits                          the last epoch on the test samples of the run
  spiq evaluate runs/digits --params best --json     the best epoch, with validation
  spiq evaluate runs/digits --data F.h5              other data, read as in training

The samples are the test part of the data, or all samples if it has none. The accuracy is the one that training printed.

Metrics and their names follow NeuroBench. Synaptic operations are products of a weight with an input, per sample over all time
steps, without biases. If every input of a layer was 0, 1 or -1, they are accumulations (AC), else multiply-accumulates (MAC).
Dense counts all of them; effective counts those where neither the weight, as the rules quantize it, nor the input is zero. Bytes
are those of `spiq quantize`: int8 one byte, int4 half a byte, ternary and int2 a quarter (2 bits), plus scales; f32 for
everything that no rule quantizes.

With --json: accuracy, per_class, confusion (rows: true class, columns: predicted class), spike_rates per layer, count,
cross_entropy, top_k; per sample: spikes_per_sample, effective_macs, effective_acs, dense, and synops per layer;
activation_sparsity, connection_sparsity: the fractions of neuron outputs and of weights that are zero; parameters, and their bits
and bytes as stored, bytes_as_trained.";

/// Evaluate a trained network: accuracy by class, confusion, spike rates, synaptic operations
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Results folder of a run
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Samples and labels [default: those of the run]
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Parameters of the last or best epoch, or a parameter file
    #[arg(long, value_name = "last | best | P.safetensors", default_value = "last")]
    params: PathBuf,
    /// Accept parameters that contain NaN or infinite values
    #[arg(long)]
    allow_nonfinite: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Also report how often the correct class is among the K largest outputs
    #[arg(long, value_name = "K", value_parser = argument::count)]
    top_k: Option<usize>,
    /// Draw the confusion matrix
    #[arg(long, value_name = "F.svg")]
    picture: Option<PathBuf>,
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
    let subject = Subject::new(
        &arguments.run,
        (&arguments.params, arguments.allow_nonfinite),
        arguments.data.as_deref(),
        &arguments.recordings,
    )?;
    let classes = subject.network.classes();
    if let Some(k) = arguments.top_k.filter(|k| *k > classes) {
        return Err(Error::input(format!("--top-k is {k}, but there are {classes} classes; give {classes} or fewer")));
    }
    if let Some(picture) = &arguments.picture {
        output::check(picture, arguments.data.as_deref())?;
        output::check_beside_runs(picture, [arguments.run.as_path()])?;
    }
    let client = client::open(arguments.device)?;
    let Examined { evaluated, memory, on } = subject.examine(&client)?;
    let Subject { trained, network, .. } = &subject;
    trained.note(&Provenance { time_steps: None, ..Provenance::of(network, &client) }, &[]);
    if let Some(picture) = &arguments.picture {
        let title = format!("{:.1} % of {} samples correct", 100.0 * evaluated.accuracy(), evaluated.count());
        replace_file(picture, confusion(&evaluated.confusion, &title).svg().as_bytes())?;
    }
    screen::print(&match arguments.json {
        true => format!("{}\n", json_of(&evaluated, &memory, arguments.top_k, trained, &on)),
        false => text_of(&evaluated, &memory, arguments.top_k, trained, network, &on),
    })?;
    rates::warn(&evaluated.spike_rates, "these samples");
    Ok(())
}

/// A trained network and the samples to evaluate it on.
pub struct Subject {
    /// The parameters' record of their training.
    pub trained: Trained,
    network: Network,
    params: BTreeMap<String, Array>,
    data: Data,
}

/// The evaluation of a network.
pub struct Examined {
    /// The results of the evaluation.
    pub evaluated: Evaluated,
    /// The size of its parameters.
    pub memory: Memory,
    /// A description of the samples.
    pub on: String,
}

impl Subject {
    /// Loads the parameters that `params` names in a run's folder, and `data`, by default those of the run. Parameters that are not finite
    /// are refused unless `allow_nonfinite`.
    ///
    /// # Errors
    /// Of kind `Input` or `File`: unusable or mismatched files.
    pub fn new(
        run: &Path,
        (params, allow_nonfinite): (&Path, bool),
        data: Option<&Path>,
        recordings: &Recordings,
    ) -> Result<Subject> {
        let path = params_of(run, params)?;
        let checkpoint = Checkpoint::load(&path)?;
        let trained = Trained::read(&checkpoint.metadata, path.display().to_string())?;
        let network = trained.network(None, None, None)?;
        let mut params = checkpoint.select(&network.array_types(), &trained.source)?;
        params.extend(checkpoint.statistics());
        if !allow_nonfinite {
            check_finite(&params, &trained.source)?;
        }
        let data = Data::read((run, data, recordings), &trained.provenance, &network)?;
        Ok(Subject { trained, network, params, data })
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn examine(&self, client: &Client) -> Result<Examined> {
        let Subject { trained, network, params, data: Data { data, source } } = self;
        let test = data.split()?.1;
        let then = &trained.provenance;
        let conditions = Conditions {
            time_steps: then.time_steps.unwrap_or(32),
            seed: then.seed.unwrap_or(0),
            coding: then.coding,
            // A custom metric does not define a class.
            readout: then.metric.as_deref().and_then(Readout::of_accuracy).unwrap_or_default(),
        };
        let evaluated = evaluate(client, network, params, &test, conditions)?;
        let memory = Memory::of(client, network, params)?;
        let part = if data.has_test_part() { "test samples" } else { "samples" };
        let on = format!("{} {part} of {source}", evaluated.count());
        Ok(Examined { evaluated, memory, on })
    }
}

/// Resolves `last` and `best` to a parameter file in a run's folder; any other value is a path.
///
/// # Errors
/// Of kind `Input` if the run has no such file.
pub fn params_of(run: &Path, which: &Path) -> Result<PathBuf> {
    let name = match which.to_str() {
        Some("last") => "params.safetensors",
        Some("best") => "best.safetensors",
        _ => return Ok(which.to_owned()),
    };
    let path = run.join(name);
    if path.exists() {
        return Ok(path);
    }
    let metrics = run.join("metrics.jsonl");
    if !metrics.is_file() && !run.join("params.safetensors").is_file() {
        return Err(Error::input(without_a_run(run)));
    }
    let records = if metrics.is_file() { read_records(&metrics)? } else { Vec::new() };
    let (folder, run) = (run, run.display());
    if records.iter().any(|record| matches!(record, Record::Step { loss: None, .. })) {
        return Err(Error::input(format!(
            "the run in {run} stopped at a number that is not finite, and has no {name}"
        )));
    }
    Err(Error::input(match name {
        "best.safetensors" => {
            format!(
                "{run} has no best epoch; train with samples for validation (--validation 0.1), or use --params last"
            )
        }
        _ => format!("{run} has no {name}: the run there has not finished; finish it with `{}`", to_go_on(folder)),
    }))
}

/// The error for a folder that contains no run itself.
fn without_a_run(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let inside = entries.map(|entry| entry.path()).filter(|inner| inner.join("metrics.jsonl").is_file());
    match inside.min() {
        Some(first) => {
            format!("{} holds several runs: name one of them, such as {}", folder.display(), first.display())
        }
        None => {
            format!("there is no run in {}; name the folder that `spiq train` was given with --out", folder.display())
        }
    }
}

struct Data {
    data: Dataset,
    source: String,
}

impl Data {
    /// The given samples, else those of the run.
    fn read(
        (run, named, recordings): (&Path, Option<&Path>, &Recordings),
        trained: &Provenance,
        network: &Network,
    ) -> Result<Data> {
        let classes = Some(network.classes());
        if let Some(path) = named {
            let source = path.display().to_string();
            let mut read = recordings::file(path, &recordings.reading(path, trained)?)?;
            if let Some(speaker) = &trained.test_speaker {
                // Other data may not contain this speaker.
                _ = read.test_on(speaker, path);
            }
            read.note.iter().for_each(|note| screen::note(note));
            return Ok(Data { data: Dataset::from_file(&read.file, &source, classes)?, source });
        }
        let path = run.join("checkpoint.safetensors");
        let of_run = checkpoint_with_note(run);
        let (of_run, note) = of_run.map_err(|error| Error::input(format!("{error}; name the data with --data")))?;
        note.iter().for_each(|note| screen::note_once(note));
        let then = Provenance::read(&of_run.metadata, &path.display().to_string())?;
        let found = match &then.data_file {
            None => Data { data: Dataset::digits(), source: "the built-in digits".to_owned() },
            Some(file) => {
                let read = recordings::dataset(file, &then.reading()?, classes);
                let data = read.map_err(|error| Error::input(format!("{error}; name the data with --data")))?;
                Data { data, source: file.display().to_string() }
            }
        };
        let (train, test) = found.data.split()?;
        if then.data.is_some_and(|digest| digest != Digest::of_data(&train, &test)) {
            screen::note(&format!("note: {} has changed since training", found.source));
        }
        Ok(found)
    }
}

/// The size of a network's parameters.
pub struct Memory {
    /// The number of parameters.
    pub parameters: usize,
    /// Bytes of parameters and running statistics.
    pub bytes: usize,
    /// The same, with weights stored quantized.
    pub stored: usize,
}

impl Memory {
    fn of(client: &Client, network: &Network, params: &BTreeMap<String, Array>) -> Result<Memory> {
        let parameters = network.parameter_types().values().map(spiq::TensorType::count).sum();
        let bytes = network.array_types().keys().map(|path| params[path].bytes().len()).sum();
        let stored = match network.rules().is_empty() {
            true => bytes,
            // Rules may quantize activations only.
            false => quantize_weights(client, network, params).map_or(bytes, |quantization| quantization.after),
        };
        Ok(Memory { parameters, bytes, stored })
    }
}

/// The output of `--json`. f32 numbers have as few digits as represent them, as in metrics.jsonl.
#[derive(Serialize)]
struct Printed<'a> {
    accuracy: f32,
    count: usize,
    per_class: Vec<Option<f32>>,
    confusion: &'a [Vec<u64>],
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<TopK>,
    cross_entropy: f64,
    spike_rates: &'a BTreeMap<String, f32>,
    spikes_per_sample: f64,
    activation_sparsity: Option<f64>,
    connection_sparsity: Option<f64>,
    effective_macs: f64,
    effective_acs: f64,
    dense: f64,
    synops: Synops<'a>,
    parameters: usize,
    bits: usize,
    bytes: usize,
    bytes_as_trained: usize,
    params_file: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
struct TopK {
    k: usize,
    accuracy: f32,
}

#[derive(Serialize)]
struct Synops<'a> {
    layers: BTreeMap<&'a str, LayerSynops>,
}

#[derive(Serialize)]
struct LayerSynops {
    kind: &'static str,
    dense: f64,
    effective: f64,
}

/// The kind of a synaptic operation: AC if every input was 0, 1 or -1, else MAC.
fn kind(layer: &Operations) -> &'static str {
    if layer.accumulates { "AC" } else { "MAC" }
}

fn json_of(evaluated: &Evaluated, memory: &Memory, top_k: Option<usize>, trained: &Trained, on: &str) -> String {
    let counted = &evaluated.counted;
    let layer = |layer: &Operations| LayerSynops { kind: kind(layer), dense: layer.dense, effective: layer.effective };
    let layers = counted.synapses.iter().map(|(path, ops)| (path.as_str(), layer(ops))).collect();
    let printed = Printed {
        accuracy: evaluated.accuracy(),
        count: evaluated.count(),
        per_class: evaluated.per_class(),
        confusion: &evaluated.confusion,
        top_k: top_k.map(|k| TopK { k, accuracy: evaluated.top_k(k) }),
        cross_entropy: evaluated.cross_entropy,
        spike_rates: &evaluated.spike_rates,
        spikes_per_sample: counted.spikes_per_sample(),
        activation_sparsity: counted.activation_sparsity,
        connection_sparsity: counted.connection_sparsity,
        effective_macs: counted.effective_macs(),
        effective_acs: counted.effective_acs(),
        dense: counted.dense(),
        synops: Synops { layers },
        parameters: memory.parameters,
        bits: 8 * memory.stored,
        bytes: memory.stored,
        bytes_as_trained: memory.bytes,
        params_file: &trained.source,
        data: on,
    };
    serde_json::to_string(&printed).expect("numbers and texts")
}

fn text_of(
    evaluated: &Evaluated,
    memory: &Memory,
    top_k: Option<usize>,
    trained: &Trained,
    network: &Network,
    on: &str,
) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![row(&trained::accuracy_of("accuracy", network), trained::percent(evaluated.accuracy()))];
    if let Some(k) = top_k {
        rows.push(row(&format!("top-{k} accuracy"), trained::percent(evaluated.top_k(k))));
    }
    let size = |bytes: usize| screen::bytes(bytes as u64);
    let stored = match memory.stored == memory.bytes {
        true => size(memory.bytes),
        false => format!("{} stored quantized, {} as trained", size(memory.stored), size(memory.bytes)),
    };
    rows.extend([
        row("cross-entropy", format!("{:.4}", evaluated.cross_entropy)),
        row("parameters", format!("{}, {stored}", memory.parameters)),
    ]);
    let zeros = |name: &str, part: Option<f64>| part.map(|part| row(name, trained::percent(part as f32)));
    let counted = &evaluated.counted;
    rows.extend(zeros("weights that are zero", counted.connection_sparsity));
    rows.extend(zeros("neuron outputs that are zero", counted.activation_sparsity));
    if !counted.spikes.is_empty() {
        rows.push(row("spikes per sample", format!("{:.1}", counted.spikes_per_sample())));
    }
    rows.extend([row("file", trained.source.clone()), row("data", on.to_owned())]);
    let parts = [table::aligned(&[], &rows), by_class(evaluated), rate_table(evaluated), operations(counted)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// With more classes, a matrix does not fit a terminal; the most frequent confusions are shown instead.
const MOST_CLASSES: usize = 24;
const MOST_CONFUSED: usize = 12;

/// Accuracy and confusion counts of each class.
fn by_class(evaluated: &Evaluated) -> String {
    let classes = evaluated.confusion.len();
    let per_class = evaluated.per_class();
    let part = |class: usize| per_class[class].map_or("-".to_owned(), trained::percent);
    let count = |class: usize| evaluated.confusion[class].iter().sum::<u64>().to_string();
    let wide = classes > MOST_CLASSES;
    let mut head = vec!["class".to_owned(), "accuracy".to_owned(), "samples".to_owned()];
    if !wide {
        head.push("predicted as".to_owned());
        head.extend((0..classes).map(|class| class.to_string()));
    }
    let cell = |count: &u64| if *count == 0 { "·".to_owned() } else { count.to_string() };
    let line = |class: usize| {
        let cells = (!wide).then(|| evaluated.confusion[class].iter().map(cell)).into_iter().flatten();
        [class.to_string(), part(class), count(class)]
            .into_iter()
            .chain((!wide).then(String::new))
            .chain(cells)
            .collect()
    };
    let rows: Vec<Vec<String>> = (0..classes).map(line).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let table = table::aligned(&head, &rows);
    if wide { format!("{table}\n{}", most_confused(evaluated)) } else { table }
}

fn most_confused(evaluated: &Evaluated) -> String {
    let cells = evaluated.confusion.iter().enumerate().flat_map(|(class, row)| {
        row.iter()
            .enumerate()
            .filter(move |(taken, count)| *taken != class && **count > 0)
            .map(move |(taken, count)| (*count, class, taken))
    });
    let mut cells: Vec<(u64, usize, usize)> = cells.collect();
    cells.sort_by_key(|(count, class, taken)| (std::cmp::Reverse(*count), *class, *taken));
    let rows: Vec<Vec<String>> = cells
        .iter()
        .take(MOST_CONFUSED)
        .map(|(count, class, taken)| vec![class.to_string(), taken.to_string(), count.to_string()])
        .collect();
    table::aligned(&["class", "predicted as", "samples"], &rows)
}

fn rate_table(evaluated: &Evaluated) -> String {
    let layers = rates::in_order(&evaluated.spike_rates).into_iter();
    let rows: Vec<Vec<String>> = layers.map(|(path, rate)| vec![path.to_owned(), rates::shown(rate)]).collect();
    if rows.is_empty() { String::new() } else { table::aligned(&["layer", "spikes per neuron and step"], &rows) }
}

fn operations(counted: &Counted) -> String {
    let row = |name: &str, kind: &str, dense: f64, effective: f64| {
        let part = if dense > 0.0 { trained::percent((effective / dense) as f32) } else { "-".to_owned() };
        vec![name.to_owned(), kind.to_owned(), format!("{dense:.0}"), format!("{effective:.0}"), part]
    };
    let mut layers: Vec<(&String, &Operations)> = counted.synapses.iter().collect();
    layers.sort_by_key(|(path, _)| rates::place(path));
    let mut rows: Vec<Vec<String>> =
        layers.into_iter().map(|(path, ops)| row(path, kind(ops), ops.dense, ops.effective)).collect();
    if rows.len() > 1 {
        rows.push(row("all", "", counted.dense(), counted.effective_acs() + counted.effective_macs()));
    }
    if rows.is_empty() {
        String::new()
    } else {
        table::aligned(&["synapses", "kind", "operations per sample", "effective", ""], &rows)
    }
}
