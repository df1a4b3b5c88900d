//! `spiq evaluate`: what a trained network does on labelled samples, as a table or JSON. Knows nothing of how it is computed.

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
use super::{argument, client, output, screen};

const EXAMPLES: &str = "\
Examples, after `spiq train --out runs/digits`:
  spiq evaluate runs/digits                          the last epoch on the test samples of the run
  spiq evaluate runs/digits --params best --json     the best epoch, with validation
  spiq evaluate runs/digits --data F.h5              other data, read as in training

Samples are those of the data's test part; where it has none, all of them. The accuracy is the one that training printed.

What is counted, and its names, are NeuroBench's. Synaptic operations are products of a weight with an input for a sample, over all
time steps, without biases. Where every input of a layer was 0, 1 or -1 they are accumulations (AC), else multiplications and
accumulations (MAC). Dense are all of them, effective those in which neither the weight, as the rules quantize it, nor the input is
zero. Bytes are those of `spiq quantize`: int8 a byte, int4 half of one, ternary and int2 a quarter (2 bits), scales beside them,
everything that no rule quantizes in f32.

With --json: accuracy, per_class, confusion (rows: the class, columns: what it was taken for), spike_rates by layer, count,
cross_entropy, top_k; for a sample, spikes_per_sample, effective_macs, effective_acs, dense, and synops by layer;
activation_sparsity, connection_sparsity: the parts of neurons' outputs and of weights that are zero; parameters, bits and bytes of
them as they are stored, bytes_as_trained.";

/// Tell how a trained network does: accuracy by class, confusion, spike rates, synaptic operations
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The folder of a run's results
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Samples and labels [default: those of the run]
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Parameters of the last epoch, of the best one, or a file of them
    #[arg(long, value_name = "last | best | P.safetensors", default_value = "last")]
    params: PathBuf,
    /// Take parameters that hold infinite numbers or NaN, too
    #[arg(long)]
    allow_nonfinite: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Tell how often the class is among the K with the largest outputs, too
    #[arg(long, value_name = "K", value_parser = argument::count)]
    top_k: Option<usize>,
    /// Draw which class is taken for which
    #[arg(long, value_name = "F.svg")]
    picture: Option<PathBuf>,
    /// Where it runs; the CPU's plugin is installed at the first use
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    #[command(flatten)]
    recordings: Recordings,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File` for files that are not usable or do not fit each other; what PJRT says.
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
        let title = format!("{:.1} % of {} samples right", 100.0 * evaluated.accuracy(), evaluated.count());
        replace_file(picture, confusion(&evaluated.confusion, &title).svg().as_bytes())?;
    }
    screen::print(&match arguments.json {
        true => format!("{}\n", json_of(&evaluated, &memory, arguments.top_k, trained, &on)),
        false => text_of(&evaluated, &memory, arguments.top_k, trained, network, &on),
    })
}

/// A trained network and the samples that it is evaluated on.
pub struct Subject {
    /// What its parameters say of their training.
    pub trained: Trained,
    network: Network,
    params: BTreeMap<String, Array>,
    data: Data,
}

/// What a network does on its samples.
pub struct Examined {
    /// The results of the evaluation.
    pub evaluated: Evaluated,
    /// What its parameters take up.
    pub memory: Memory,
    /// The samples, in words.
    pub on: String,
}

impl Subject {
    /// The parameters in the folder of a run that are named so, which may hold numbers that are not finite where that is allowed, on
    /// these data, or else on those of the run.
    ///
    /// # Errors
    /// Of kind `Input` or `File`: files that are not usable or do not fit each other.
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
            // A metric of one's own says nothing of classes.
            readout: then.metric.as_deref().and_then(Readout::of_accuracy).unwrap_or_default(),
        };
        let evaluated = evaluate(client, network, params, &test, conditions)?;
        let memory = Memory::of(client, network, params)?;
        let part = if data.has_test_part() { "test samples" } else { "samples" };
        let on = format!("{} {part} of {source}", evaluated.count());
        Ok(Examined { evaluated, memory, on })
    }
}

/// The file of parameters in the folder of a run that a word names; anything else is a file itself.
///
/// # Errors
/// Of kind `Input` where the run has left none.
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
                "{run} has no best epoch; train with samples for validation (--validation 0.1), or name --params last"
            )
        }
        _ => format!("{run} has no {name}: the run there has not ended; let it end, with `{}`", to_go_on(folder)),
    }))
}

/// What is said of a folder that holds no run itself.
fn without_a_run(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let inside = entries.map(|entry| entry.path()).filter(|inner| inner.join("metrics.jsonl").is_file());
    match inside.min() {
        Some(first) => {
            format!("{} holds several runs: name one of them, such as {}", folder.display(), first.display())
        }
        None => format!("there is no run in {}; name the folder that `spiq train` was given with --out", folder.display()),
    }
}

struct Data {
    data: Dataset,
    source: String,
}

impl Data {
    /// The samples that are named, else those of the run.
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
                // Other data need not know this speaker.
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
            screen::note(&format!("note: {} is no longer as it was in training", found.source));
        }
        Ok(found)
    }
}

/// What the parameters take up.
pub struct Memory {
    /// Their number.
    pub parameters: usize,
    /// Bytes of them and of running statistics.
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
            // Rules may quantize activations alone.
            false => quantize_weights(client, network, params).map_or(bytes, |quantization| quantization.after),
        };
        Ok(Memory { parameters, bytes, stored })
    }
}

/// What `--json` prints. Numbers of single precision have no more digits than they need, as in metrics.jsonl.
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

/// What a product is, where it is known of all inputs.
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
        rows.push(row(&format!("among the first {k}"), trained::percent(evaluated.top_k(k))));
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
    rows.extend(zeros("outputs of neurons that are zero", counted.activation_sparsity));
    if !counted.spikes.is_empty() {
        rows.push(row("spikes a sample", format!("{:.1}", counted.spikes_per_sample())));
    }
    rows.extend([row("of", trained.source.clone()), row("on", on.to_owned())]);
    let parts = [table::aligned(&[], &rows), by_class(evaluated), rates(evaluated), operations(counted)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Beyond these, a matrix does not fit a terminal; the classes that are taken for others most often are shown instead.
const MOST_CLASSES: usize = 24;
const MOST_CONFUSED: usize = 12;

/// Accuracy of each class, and what its samples were taken for.
fn by_class(evaluated: &Evaluated) -> String {
    let classes = evaluated.confusion.len();
    let per_class = evaluated.per_class();
    let part = |class: usize| per_class[class].map_or("-".to_owned(), trained::percent);
    let count = |class: usize| evaluated.confusion[class].iter().sum::<u64>().to_string();
    let wide = classes > MOST_CLASSES;
    let mut head = vec!["class".to_owned(), "accuracy".to_owned(), "samples".to_owned()];
    if !wide {
        head.push("taken for".to_owned());
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
    table::aligned(&["class", "taken for", "samples"], &rows)
}

fn rates(evaluated: &Evaluated) -> String {
    let rows: Vec<Vec<String>> =
        evaluated.spike_rates.iter().map(|(path, rate)| vec![path.clone(), format!("{rate:.4}")]).collect();
    if rows.is_empty() { String::new() } else { table::aligned(&["layer", "spikes a neuron and step"], &rows) }
}

fn operations(counted: &Counted) -> String {
    let row = |name: &str, kind: &str, dense: f64, effective: f64| {
        let part = if dense > 0.0 { trained::percent((effective / dense) as f32) } else { "-".to_owned() };
        vec![name.to_owned(), kind.to_owned(), format!("{dense:.0}"), format!("{effective:.0}"), part]
    };
    let mut rows: Vec<Vec<String>> =
        counted.synapses.iter().map(|(path, ops)| row(path, kind(ops), ops.dense, ops.effective)).collect();
    if rows.len() > 1 {
        rows.push(row("all", "", counted.dense(), counted.effective_acs() + counted.effective_macs()));
    }
    if rows.is_empty() {
        String::new()
    } else {
        table::aligned(&["synapses", "kind", "operations a sample", "effective", ""], &rows)
    }
}
