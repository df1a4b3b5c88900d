//! `spiq train`: turns flags and a recipe into a training run and prints the result table.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use spiq::augment::{Augment, Augmentation};
use spiq::cluster::Cluster;
use spiq::data::Code;
use spiq::provenance::{Best, Validation};
use spiq::table;
use spiq::train::{FolderLock, Options, Summary};
use spiq::{Error, ErrorKind, Result};
use spiq_events::{Described, Transform};

use super::choice::{Device, GradDtype, Numerics, OnNan};
use super::learning::{Arithmetic, Learning};
use super::plan::{Plan, default_folder};
use super::processes::{self, Processes};
use super::recordings::{Recordings, TestSamples};
use super::several::{self, Member};
use super::{argument, client, earlier, rates, recipe, screen, shell, signals, trained};

const EXAMPLES: &str = "\
Examples:
  spiq train                                                   the built-in digits, int8 weights and activations
  spiq train --rules none --out runs/fp32                      the same in full precision
  spiq train --recipe speech                                   the built-in spoken digits, as spikes of a cochlea
  spiq train --recipe speech --test-speaker theo               test on a voice that is not in the training data
  spiq train --model model.toml --data spikes.safetensors --rules rules.toml --epochs 50
  spiq train --model model.toml --data shd_train.h5 --test-data shd_test.h5 --bins 100 --dt 0.01 --channels 140
  spiq train --resume --out runs/fp32                          continue after Ctrl-C or a kill; the checkpoint has all settings
  spiq train --resume --allow-changes --learning-rate 1e-4 --out runs/fp32
  spiq train --validation 0.1 --patience 5                     keep the best epoch; stop after 5 epochs without a better one
  spiq train --seeds 5 --out runs/five                         one run per seed from 0 to 4: mean and spread
  spiq train --folds 5 --out runs/folds                        cross-validation
  spiq train --coordinator-address node0:12345 --num-processes 2 --process-id 0    one of two processes that train together

Data is a safetensors file with `labels` [N] and either `inputs` [N, T, …] (u8 or f32: spikes over time) or `images`
[N, …] (u8, encoded as spikes; the metadata entry `max` is the largest value, 255 by default). The metadata entry `train`
is the number of leading samples for training, the others are for testing; without it, all samples are used for both. The
metadata entry `validation` is the number of samples, after the training samples, that choose the best epoch.

Written to DIR: params.safetensors (for `spiq predict`), best.safetensors (the same of the best epoch, with validation),
model.toml, rules.toml, checkpoint.safetensors (for --resume) and the previous checkpoint, metrics.jsonl, training.svg, and
summary.json at the end. Parameters and checkpoints record how they were trained. A folder with another run needs --overwrite,
which first removes the files of that run. Only one run at a time can write to a folder. Ctrl-C, SIGTERM and SIGHUP save the run and end it.";

/// The examples, and the tables of rows that flags name.
fn after_help() -> String {
    let [encode, augment, transforms] = [Code::TABLE, Augment::TABLE, Transform::TABLE].map(Described::help);
    format!(
        "{EXAMPLES}\n\n\
         Encoders for --encode, with their arguments and defaults:\n{encode}\n\n\
         Augmentations for --augment, separated by commas, with their arguments and defaults:\n{augment}\n\n\
         Transforms for --transform, in the same form; times are in microseconds:\n{transforms}"
    )
}

/// Train a network with quantization in the loop
///
/// Without flags: trains on the built-in handwritten digits, with weights and activations in int8. A recipe supplies every setting that no
/// flag gives.
#[derive(Args, Clone, Debug)]
#[command(after_help = after_help())]
pub struct Arguments {
    /// Model file [default: the model stored with --init, if any, else the recipe's]
    #[arg(long, value_name = "M.toml")]
    pub(super) model: Option<PathBuf>,
    /// Samples and labels: a safetensors or .npz file, event recordings (SHD, SSC, N-MNIST, DVS Gesture, …), or `speech` for the built-in spoken
    /// digits [default: the recipe's; built-in digits]
    #[arg(long, value_name = "DATA")]
    pub(super) data: Option<PathBuf>,
    /// Quantization rules: a file; `int8` or `int4,int8` for all weights and activations; `none` for full precision [default: the recipe's,
    /// int8; none with another model, unless --recipe is given]
    #[arg(long, help_heading = "Arithmetic", value_name = "R.toml | W,A | none")]
    pub(super) rules: Option<PathBuf>,
    /// Leave out rules that apply to no operation of the model, with a note, instead of refusing them: for rules shared between models
    #[arg(long, help_heading = "Arithmetic")]
    pub(super) allow_unmatched: bool,
    /// Start from these parameters [default: random initialization, as in flax and Spyx]
    #[arg(long, value_name = "P.safetensors")]
    pub(super) init: Option<PathBuf>,
    /// Accept --init parameters that contain NaN or infinite values
    #[arg(long)]
    pub(super) allow_nonfinite: bool,
    /// Preset for all settings not given as flags [default: digits; speech with --data speech]
    #[arg(long, value_enum)]
    pub(super) recipe: Option<recipe::Name>,
    /// Rounding: exact, or as qwix rounds [default: that of --init's training, if recorded, else exact]
    #[arg(long, help_heading = "Arithmetic", value_enum)]
    pub(super) numerics: Option<Numerics>,
    /// Element type of the matrix products of the backward pass [default: f32; bf16 on GPUs and TPUs with --numerics exact]
    #[arg(long, help_heading = "Arithmetic", value_enum)]
    pub(super) grad_dtype: Option<GradDtype>,
    /// Time steps per tile; each layer computes its products for a whole tile at once [default: all time steps]
    #[arg(long, help_heading = "Arithmetic", value_name = "K", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) time_tile: Option<usize>,
    /// Samples per step [default: the recipe's, 32]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) batch_size: Option<usize>,
    /// Passes over the training set [default: the recipe's, 30]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count, conflicts_with = "steps")]
    pub(super) epochs: Option<usize>,
    /// Training steps, instead of epochs
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) steps: Option<usize>,
    /// Time steps over which images are encoded; spike trains keep their own number [default: that of --init's training, if recorded, else
    /// the recipe's, 32]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) time_steps: Option<usize>,
    /// How samples are encoded as spikes, such as 'Latency(tau = 5)'; encoders are listed below [default: that of --init's training, if
    /// recorded, else Rate for images, none for data with a time axis]
    #[arg(long, value_name = "ENCODER", value_parser = Code::parse)]
    pub(super) encode: Option<Code>,
    /// Probability of shifting a training image by one pixel, for each of the four directions [default: the recipe's; 0 with --model,
    /// --data, --optimizer or --learning-rate, unless --recipe is given]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(super) shift: Option<f64>,
    /// Augmentations of training samples in the compiled step, such as 'TimeShift(max = 5), DropEvent(p = 0.1)'; listed below [default: the
    /// recipe's; none with --model, --data, --optimizer or --learning-rate, unless --recipe is given]
    #[arg(long, value_name = "AUGMENTATIONS | none", value_parser = Augmentation::parse)]
    pub(super) augment: Option<Augmentation>,
    /// Steps per device call, without the host in between; the results do not depend on it [default: as many as fit in 0.1 s, up to 32]
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) steps_per_call: Option<usize>,
    /// Training samples held out to choose the best epoch, stratified by class: a fraction (0.1) or a number; `own` for the data file's own
    /// validation part; `none` for no validation [default: own, if the file has one, else none]
    #[arg(long, value_name = "F | N", allow_negative_numbers = true, value_parser = argument::validation, conflicts_with = "folds")]
    pub(super) validation: Option<Validation>,
    /// Split the training samples into K folds and validate on the one that --fold names; without --fold, train once per fold, each run in
    /// its own folder inside DIR, and show mean and spread
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = argument::folds)]
    pub(super) folds: Option<usize>,
    /// Fold used for validation, counted from 1
    #[arg(long, value_name = "I", allow_negative_numbers = true, value_parser = argument::count, requires = "folds")]
    pub(super) fold: Option<usize>,
    /// Stop after N epochs without a better validation result [default: never]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) patience: Option<usize>,
    /// Reaction to a step whose loss, gradients, parameters or statistics contain NaN or an infinity [default: stop]
    #[arg(long, value_enum)]
    pub(super) on_nan: Option<OnNan>,
    /// Keep the samples in file order in every epoch
    #[arg(long)]
    pub(super) no_shuffle: bool,
    /// Seed of initial parameters, sample order and encoding [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) seed: Option<i64>,
    /// Train once per seed: a list (`0,1,2`), or a number N for seeds 0 to N-1 (`3`); each run gets its own folder inside DIR; shows mean
    /// and spread. With --resume, finished runs are not repeated
    #[arg(long, value_name = "LIST | N", value_parser = argument::seeds, conflicts_with = "seed")]
    pub(super) seeds: Option<argument::Seeds>,
    /// Also write the history for TensorBoard
    #[arg(long)]
    pub(super) tensorboard: bool,
    /// Folder for the results, created if missing [default: runs/digits, runs/speech, or
    /// runs/NAME for a data file NAME.safetensors]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Continue from the checkpoint in the results folder; the result is bit-identical to that of an uninterrupted run. Settings not given
    /// as flags come from the checkpoint; a flag that contradicts it is an error
    #[arg(long)]
    pub(super) resume: bool,
    /// Replace the results of another run in the results folder. Not needed to repeat a finished run with the same settings
    #[arg(long, conflicts_with = "resume")]
    pub(super) overwrite: bool,
    /// With --resume: continue although flags, data or model differ from those of the run so far. A note lists the differences, and the
    /// files of the run record them
    #[arg(long, requires = "resume")]
    pub(super) allow_changes: bool,
    /// Write checkpoints, within epochs as well, so that a kill loses at most N seconds of training; less often where writing would slow
    /// training down [default: 10]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::seconds)]
    pub(super) checkpoint_seconds: Option<f64>,
    /// Device to run on; the CPU plugin is installed on first use [default: cpu]
    #[arg(long, value_enum)]
    pub(super) device: Option<Device>,
    /// Devices that share each step, each with an equal part of the batch: a number, or `all`; on the CPU as many as are asked for, which
    /// share its cores. The results are those of one device, except for the order of sums of floats [default: 1]
    #[arg(long, value_name = "N | all", value_parser = argument::devices)]
    pub(super) devices: Option<argument::Devices>,
    #[command(flatten)]
    pub(super) processes: Processes,
    #[command(flatten)]
    pub(super) arithmetic: Arithmetic,
    #[command(flatten)]
    pub(super) learning: Learning,
    #[command(flatten)]
    pub(super) recordings: Recordings,
    #[command(flatten)]
    pub(super) test_samples: TestSamples,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Interrupted` after a signal; those of [`spiq::train::run`].
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.are_several() {
        return run_several(arguments);
    }
    let plan = Plan::new(arguments)?;
    let cluster = plan.identity.as_ref().map(|identity| arguments.processes.join(identity)).transpose()?;
    let outcome = run_planned(plan, arguments, cluster.as_ref());
    match &cluster {
        Some(cluster) => together(cluster, outcome),
        None => outcome,
    }
}

/// Ends one of several processes as the others.
fn together(cluster: &Cluster, outcome: Result<()>) -> Result<()> {
    match outcome {
        // Stopped together, or done.
        Err(error) if error.kind() != ErrorKind::Interrupted => {
            cluster.fail(&error);
            // Time for the others to hear of it.
            std::thread::sleep(Duration::from_millis(100));
            Err(error)
        }
        outcome => {
            let left = cluster.leave();
            outcome.and(left)
        }
    }
}

fn run_planned(plan: Plan, arguments: &Arguments, cluster: Option<&Cluster>) -> Result<()> {
    let writes = cluster.is_none_or(|cluster| cluster.identity().process == 0);
    if writes {
        earlier::check_folder(&plan.options.out, arguments)?;
    }
    let stop = stop_at_signals();
    let client = client::open_until(plan.device, plan.devices, &stop, cluster)?;
    let plan = plan.on(&client);
    if writes && plan.options.out.is_dir() {
        // A folder in use is reported as such.
        drop(FolderLock::take(&plan.options.out)?);
    }
    if writes {
        earlier::check_overwrite(&client, &plan.options, arguments.overwrite)?;
    }
    let (notes, options) = (plan.notes(&client), plan.options);
    let unsaved = nothing_done(&options);
    let summary =
        several::shown_run((&client, &stop), &options, &notes, unsaved).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => {
                Error::new(ErrorKind::Interrupted, format!("{error}: {}", nothing_done(&options)))
            }
            _ => error,
        })?;
    let printed = screen::print(&table(&summary, &options));
    rates::warn(&summary.spike_rates, "the test samples");
    match summary.interrupted {
        // If the terminal is closed, the failed print does not matter.
        true => Err(interrupted(&options.out, summary.stopped_by)),
        false => printed,
    }
}

impl Arguments {
    /// Whether the arguments describe several runs.
    pub(super) fn are_several(&self) -> bool {
        self.seeds.is_some() || (self.folds.is_some() && self.fold.is_none())
    }

    /// The files that the run reads, by flag. Initial parameters are excluded: a run keeps that file until it replaces it.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let files = [
            ("--model", self.model.clone()),
            ("--rules", self.rules.clone()),
            ("--data", self.data.clone()),
            ("--test-data", self.test_samples.provenance().test_file),
        ];
        files.into_iter().filter_map(|(flag, path)| Some((flag, path?)))
    }
}

/// One run per seed and fold.
fn run_several(arguments: &Arguments) -> Result<()> {
    processes::refuse(&arguments.processes, "train several runs (--seeds, --folds)")?;
    let out = arguments.out.clone().unwrap_or_else(|| default_folder(arguments));
    let seeds: Vec<Option<i64>> = match &arguments.seeds {
        Some(seeds) => seeds.0.iter().copied().map(Some).collect(),
        None => vec![arguments.seed],
    };
    let folds: Vec<Option<usize>> = match (arguments.folds, arguments.fold) {
        (Some(of), None) => (1..=of).map(Some).collect(),
        (_, fold) => vec![fold],
    };
    let mut members = Vec::new();
    for seed in seeds {
        for fold in &folds {
            let seed_setting = arguments.seeds.as_ref().and(seed).map(|seed| ("seed".to_owned(), seed.to_string()));
            let fold_setting = arguments.fold.is_none().then_some(*fold).flatten();
            let fold_setting = fold_setting.map(|fold| ("fold".to_owned(), fold.to_string()));
            let settings: Vec<(String, String)> = seed_setting.into_iter().chain(fold_setting).collect();
            let words: Vec<String> = settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
            let folder = out.join(words.join("-").replace(' ', "-"));
            let arguments = Arguments { seed, seeds: None, fold: *fold, out: Some(folder), ..arguments.clone() };
            members.push(Member { name: words.join(", "), settings, arguments });
        }
    }
    std::fs::create_dir_all(&out).map_err(|cause| Error::file(&out, "make the folder", cause))?;
    let lines = out.join("runs.jsonl");
    let done = several::run(members, &lines)?;
    screen::print(&format!("{}\n{}\n", several::table(&done), lines.display()))?;
    done.end()
}

/// A flag set by Ctrl-C, SIGTERM and SIGHUP.
pub(super) fn stop_at_signals() -> Arc<AtomicBool> {
    signals::stop_flag(|| {
        let name = signals::name();
        screen::note(&format!(
            "{name}: stopping after this step to save it; Ctrl-C {}stops at once",
            if name == "Ctrl-C" { "again " } else { "" }
        ));
    })
}

fn interrupted(out: &Path, by: Option<usize>) -> Error {
    let saved = match by.filter(|_| !signals::is_heard()) {
        Some(process) => format!("process {process} was stopped, and the run saved"),
        None => format!("stopped by {} and saved", signals::name()),
    };
    let message = format!("{saved}; to continue: {}", to_go_on(out));
    Error::new(ErrorKind::Interrupted, message)
}

/// The command that resumes the run in a folder.
pub(super) fn to_go_on(out: &Path) -> String {
    format!("spiq train --resume {}", shell::flag("--out", out))
}

/// How a run that was stopped before its first step continues.
fn nothing_done(options: &Options) -> String {
    match options.resume {
        true => format!("the run is unchanged; to continue: {}", to_go_on(&options.out)),
        false => "no step was done, so nothing is lost; to start again, repeat the command".to_owned(),
    }
}

fn table(summary: &Summary, options: &Options) -> String {
    // Without a test part, the accuracy is measured on samples that the network was trained on.
    let of = if options.test.has_test_part() { "test accuracy" } else { "accuracy on the training samples" };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![row(&trained::accuracy_of(of, &options.model), trained::percent(summary.test_accuracy))];
    if let Some(accuracy) = summary.validation_accuracy {
        rows.push(row("validation accuracy", trained::percent(accuracy)));
    }
    if let Some(Best { epoch, validation_accuracy, test_accuracy }) = summary.best {
        let of_both = format!(
            "{} on validation, {} on test",
            trained::percent(validation_accuracy),
            trained::percent(test_accuracy)
        );
        rows.push(row("best epoch", format!("{epoch}: {of_both}")));
    }
    if summary.stopped_early {
        let waited = "stopped early: no later epoch was better";
        rows.push(row("", waited.to_owned()));
    }
    rows.extend([
        row("seconds", format!("{:.2}", summary.seconds)),
        row("steps", steps_of(summary)),
        row("steps per second", per_second(summary.steps_per_second)),
    ]);
    for (path, rate) in rates::in_order(&summary.spike_rates) {
        rows.push(row(&format!("spikes per neuron and step, {path}"), rates::shown(rate)));
    }
    for (i, file) in summary.files.iter().enumerate() {
        rows.push(row(if i == 0 { "files" } else { "" }, file.display().to_string()));
    }
    format!("\n{}", table::aligned(&[], &rows))
}

/// The number of steps, and how many of them were skipped.
fn steps_of(summary: &Summary) -> String {
    match summary.skipped {
        0 => summary.steps.to_string(),
        skipped => format!("{}, {skipped} of them skipped: a value was not finite", summary.steps),
    }
}

/// Rates of 10 and more without decimals, lower ones with two.
fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}
