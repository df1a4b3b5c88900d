//! `spiq report`: compares runs on one HTML page, from the files in their folders and an evaluation.

use std::path::{Path, PathBuf};

use clap::Args;
use spiq::data::replace_file;
use spiq::provenance::Provenance;
use spiq::train::{Checkpoint, Record, Summary, checkpoint_with_note, has_checkpoint, read_records};
use spiq::{Error, Result};

use super::choice::Device;
use super::evaluate::{Examined, Subject};
use super::recordings::Recordings;
use super::{client, earlier, output, page, screen};

const EXAMPLES: &str = "\
Examples:
  spiq report runs/int8 runs/fp32 --output report.html
  spiq report runs/five --output report.html         all runs in a folder, as written by --seeds and spiq sweep

The page is a single file that works offline in any browser. It shows training curves, accuracies of the last and the best epoch,
accuracy by class, confusion, spike rates and synaptic operations, the settings that differ, and the command that repeats each run.";

/// Compare runs on one page
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Results folders of runs, or folders that contain several of them
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// File to write
    #[arg(long, value_name = "REPORT.html")]
    output: PathBuf,
    /// Parameters to evaluate: those of the last or the best epoch
    #[arg(long, value_name = "last | best", default_value = "last", value_parser = ["last", "best"])]
    params: String,
    /// Skip the evaluation: accuracy by class, confusion, synaptic operations
    #[arg(long)]
    no_evaluation: bool,
    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "Run comparison")]
    title: String,
    /// Device to evaluate on; the CPU plugin is installed on first use
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
}

/// The data of a run for the page.
pub struct Run {
    /// Its name on the page.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its history.
    pub records: Vec<Record>,
    /// The settings that determine its results bit for bit.
    pub provenance: Provenance,
    /// Its summary; `None` if it has not finished.
    pub summary: Option<Summary>,
    /// Its evaluation, or why there is none.
    pub examined: std::result::Result<Examined, String>,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` or `File`: folders without runs, unusable files.
pub fn run(arguments: &Arguments) -> Result<()> {
    let folders = folders(&arguments.runs)?;
    output::check_beside_runs(&arguments.output, folders.iter().map(AsRef::as_ref))?;
    let names = names(&folders);
    let client = if arguments.no_evaluation { None } else { Some(client::open(arguments.device)?) };
    let mut runs = Vec::new();
    for (folder, name) in folders.into_iter().zip(names) {
        let examined = match &client {
            None => Err("left out (--no-evaluation)".to_owned()),
            Some(client) => {
                screen::progress(&format!("evaluating {name}"));
                let subject =
                    Subject::new(&folder, (Path::new(&arguments.params), false), None, &Recordings::default());
                subject.and_then(|subject| subject.examine(client)).map_err(|error| error.to_string())
            }
        };
        runs.push(Run::read(folder, name, examined)?);
    }
    replace_file(&arguments.output, page::of(&runs, &arguments.title, &arguments.params).as_bytes())?;
    let failed = runs.iter().filter(|run| run.examined.is_err() && client.is_some());
    for run in failed {
        let reason = run.examined.as_ref().err().map_or("", String::as_str);
        screen::note(&format!("note: {} is not evaluated: {reason}", run.name));
    }
    screen::print(&format!("{}: {} runs\n", arguments.output.display(), runs.len()))
}

impl Run {
    fn read(folder: PathBuf, name: String, examined: std::result::Result<Examined, String>) -> Result<Run> {
        let records = read_records(&folder.join(METRICS))?;
        let provenance = provenance_in(&folder)?;
        let summary = summary_in(&folder)?;
        Ok(Run { name, folder, records, provenance, summary, examined })
    }
}

/// What decided the bits of a run: from its checkpoint, or from its parameters where no checkpoint is whole.
fn provenance_in(folder: &Path) -> Result<Provenance> {
    let params = folder.join("params.safetensors");
    let (file, path) = match has_checkpoint(folder).then(|| checkpoint_with_note(folder)) {
        Some(Ok((checkpoint, note))) => {
            // An evaluation has printed it already.
            note.iter().for_each(|note| screen::note_once(note));
            (checkpoint, folder.join("checkpoint.safetensors"))
        }
        Some(Err(error)) if !params.exists() => return Err(error),
        None if !params.exists() => return Ok(Provenance::default()),
        damaged => {
            if let Some(Err(error)) = damaged {
                screen::note(&format!("note: {error}; the settings are those in {}", params.display()));
            }
            (Checkpoint::load(&params)?, params)
        }
    };
    Provenance::read(&file.metadata, &path.display().to_string())
}

/// The summary of a finished run.
fn summary_in(folder: &Path) -> Result<Option<Summary>> {
    let path = folder.join("summary.json");
    match spiq_events::read_text(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|cause| {
            Error::input(format!(
                "{} is not a summary of a run; remove it to report the run without it",
                path.display()
            ))
            .because(cause)
        }),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::file(&path, "read", cause)),
    }
}

const METRICS: &str = "metrics.jsonl";

/// The folders of runs: those given, and those inside given folders.
fn folders(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in named {
        if path.join(METRICS).is_file() {
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|cause| Error::file(path, "read the folder", cause))?;
        let inside = entries.flatten().map(|entry| entry.path()).filter(|inner| inner.join(METRICS).is_file());
        let mut inside: Vec<PathBuf> = inside.collect();
        // If a list of runs exists, only the runs it names count.
        let listed = earlier::listed(path);
        if inside.iter().any(|folder| listed.contains(folder)) {
            inside.retain(|folder| listed.contains(folder));
        }
        if inside.is_empty() {
            return Err(Error::input(format!(
                "there is no run in {}: neither it nor a folder in it has a {METRICS}; name the folder that `spiq train` was given with --out",
                path.display()
            )));
        }
        inside.sort();
        found.extend(inside);
    }
    let mut different = Vec::new();
    for path in found {
        if !different.contains(&path) {
            different.push(path);
        }
    }
    Ok(different)
}

/// Names of runs: the shortest ends of their paths that are distinct.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let end = |path: &PathBuf, parts: usize| {
        let all: Vec<String> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        all[all.len().saturating_sub(parts)..].join("/")
    };
    let most = folders.iter().map(|path| path.components().count()).max().unwrap_or(1);
    for parts in 1..=most {
        let names: Vec<String> = folders.iter().map(|path| end(path, parts)).collect();
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        if different.len() == names.len() {
            return names;
        }
    }
    folders.iter().map(|path| path.display().to_string()).collect()
}
