//! `spiq train`: from flags and a recipe to a training run, and the table at its end. Knows nothing of the loop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use spiq::augment::{Augment, Augmentation};
use spiq::data::Code;
use spiq::provenance::{Best, Validation};
use spiq::table;
use spiq::train::{Options, Summary};
use spiq::{Error, ErrorKind, Result};
use spiq_events::{Described, Transform};

use super::choice::{Device, GradDtype, Numerics, OnNan};
use super::learning::{Arithmetic, Learning};
use super::plan::{Plan, default_folder};
use super::recordings::{Recordings, TestSamples};
use super::several::{self, Member};
use super::{argument, client, earlier, recipe, screen, shell, signals, trained};

const EXAMPLES: &str = "\
Examples:
  spiq train                                                   the built-in digits, int8 weights and activations
  spiq train --rules none --out runs/fp32                      the same in full precision
  spiq train --recipe speech                                   the built-in spoken digits, as spikes of a cochlea
  spiq train --recipe speech --test-speaker theo               tested on a voice that is not heard in training
  spiq train --model model.toml --data spikes.safetensors --rules rules.toml --epochs 50
  spiq train --model model.toml --data shd_train.h5 --test-data shd_test.h5 --bins 100 --dt 0.01 --channels 140
  spiq train --resume --out runs/fp32                          go on after Ctrl-C or a kill; all else is in the checkpoint
  spiq train --resume --allow-changes --learning-rate 1e-4 --out runs/fp32
  spiq train --validation 0.1 --patience 5                     keep the best epoch, and stop when none is better for 5
  spiq train --seeds 5 --out runs/five                         once with each of the seeds 0 to 4: mean and spread
  spiq train --folds 5 --out runs/folds                        cross-validation

Data are a safetensors file with `labels` [N] and either `inputs` [N, T, …] (u8 or f32: spikes over time) or `images`
[N, …] (u8, encoded as spikes; the metadata entry `max` gives the largest value, 255 by default). The metadata entry
`train` says how many of the first samples train, the others test; without it all train and all test. The metadata entry
`validation` says how many of those after the training samples choose the best epoch.

Left in DIR: params.safetensors (what `spiq predict` reads), best.safetensors (that of the best epoch, with validation), model.toml and rules.toml, checkpoint.safetensors (what
--resume reads) and the one before it, metrics.jsonl, training.svg, summary.json once it has ended. Parameters and checkpoint say how they were trained; a
new run takes away those of an older one before it begins. One run at a time writes in a folder. Ctrl-C, SIGTERM and SIGHUP save the run and end it.";

/// The examples, and the tables that flags name rows of.
fn after_help() -> String {
    let [encode, augment, transforms] = [Code::TABLE, Augment::TABLE, Transform::TABLE].map(Described::help);
    format!(
        "{EXAMPLES}\n\n\
         Encoders for --encode, with their arguments and defaults:\n{encode}\n\n\
         Changes of training samples for --augment, divided by commas, each with its arguments and their defaults:\n{augment}\n\n\
         Transforms of recordings for --transform likewise; times are microseconds:\n{transforms}"
    )
}

/// Train a network with quantization in the loop
///
/// Without flags: handwritten digits, which are built in, with weights and activations in int8. A recipe gives what no flag
/// says.
#[derive(Args, Clone, Debug)]
#[command(after_help = after_help())]
pub struct Arguments {
    /// The network [default: that of --init, if it says it, else the recipe's]
    #[arg(long, value_name = "M.toml")]
    pub(super) model: Option<PathBuf>,
    /// Samples and labels: a safetensors file, recordings of events (SHD, SSC, N-MNIST, DVS Gesture, …), or `speech`, the built-in
    /// spoken digits [default: the recipe's, the built-in digits]
    #[arg(long, value_name = "DATA")]
    pub(super) data: Option<PathBuf>,
    /// What is quantized and how: a file; `int8`, or `int4,int8`, for all weights and activations; `none` for full precision
    /// [default: the recipe's, int8; with another model nothing, unless --recipe is named]
    #[arg(long, help_heading = "Arithmetic", value_name = "R.toml | W,A | none")]
    pub(super) rules: Option<PathBuf>,
    /// Start from these parameters [default: drawn at random, as flax and Spyx do]
    #[arg(long, value_name = "P.safetensors")]
    pub(super) init: Option<PathBuf>,
    /// Take parameters of --init that hold infinite numbers or NaN, too
    #[arg(long)]
    pub(super) allow_nonfinite: bool,
    /// Where everything else comes from [default: digits; speech with --data speech]
    #[arg(long, value_enum)]
    pub(super) recipe: Option<recipe::Name>,
    /// How numbers are rounded [default: as in the training of --init, if it says it, else exact]
    #[arg(long, help_heading = "Arithmetic", value_enum)]
    pub(super) numerics: Option<Numerics>,
    /// Element type of the products that give the gradients [default: f32]
    #[arg(long, help_heading = "Arithmetic", value_enum)]
    pub(super) grad_dtype: Option<GradDtype>,
    /// Time steps of a tile, for which each layer computes its products at once [default: all of them]
    #[arg(long, help_heading = "Arithmetic", value_name = "K", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) time_tile: Option<usize>,
    /// Samples a step [default: the recipe's, 32]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) batch_size: Option<usize>,
    /// Times through the training samples [default: the recipe's, 30]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count, conflicts_with = "steps")]
    pub(super) epochs: Option<usize>,
    /// Training steps, instead of epochs
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) steps: Option<usize>,
    /// Time steps that images are encoded over; spike trains keep their own [default: as in the training of --init, if it says
    /// it, else the recipe's, 32]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) time_steps: Option<usize>,
    /// How samples become spikes, such as 'Latency(tau = 5)': the table below names the encoders [default: as in the training of
    /// --init, if it says it; else Rate for images, none for data with a time axis]
    #[arg(long, value_name = "ENCODER", value_parser = Code::parse)]
    pub(super) encode: Option<Code>,
    /// Probability with which a training image is moved by a pixel, in each of four directions [default: the recipe's; 0
    /// with --model, --data, --optimizer or --learning-rate, unless --recipe is named]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(super) shift: Option<f64>,
    /// Changes of training samples in the compiled step, such as 'TimeShift(max = 5), DropEvent(p = 0.1)'; the table below names
    /// them [default: the recipe's; none with --model, --data, --optimizer or --learning-rate, unless --recipe is named]
    #[arg(long, value_name = "CHANGES | none", value_parser = Augmentation::parse)]
    pub(super) augment: Option<Augmentation>,
    /// Steps that the device does in one call, without the host; the results are the same for any number [default: as many as
    /// take a tenth of a second, up to 32]
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) steps_per_call: Option<usize>,
    /// Training samples that do not train, but choose the best epoch: a share (0.1) or a number of them, as many of each class
    /// as its share asks for; `own` for the part that the data file keeps for it, `none` for none [default: own, if the file has
    /// one, else none]
    #[arg(long, value_name = "F | N", allow_negative_numbers = true, value_parser = argument::validation, conflicts_with = "folds")]
    pub(super) validation: Option<Validation>,
    /// Divide the training samples into K folds, of which one is for validation: that of --fold; without it, train once with each of them,
    /// each in a folder of its own in DIR, and show mean and spread
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = argument::folds)]
    pub(super) folds: Option<usize>,
    /// Which of the folds is for validation, from 1
    #[arg(long, value_name = "I", allow_negative_numbers = true, value_parser = argument::count, requires = "folds")]
    pub(super) fold: Option<usize>,
    /// End the run when for N epochs none was better on the validation samples than the best one [default: run to the end]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::count)]
    pub(super) patience: Option<usize>,
    /// What is done at a step whose loss, or of which a gradient, a parameter or a statistic is infinite or NaN [default: stop]
    #[arg(long, value_enum)]
    pub(super) on_nan: Option<OnNan>,
    /// Take the samples in the order of the file, in every epoch
    #[arg(long)]
    pub(super) no_shuffle: bool,
    /// What initial parameters, order and encoding are drawn from [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) seed: Option<i64>,
    /// Train once with each of these seeds (`0,1,2`), or with so many from 0 on (`3`), each in a folder of its own in DIR, and show mean
    /// and spread. With --resume those that have ended are not trained again
    #[arg(long, value_name = "LIST | N", value_parser = argument::seeds, conflicts_with = "seed")]
    pub(super) seeds: Option<argument::Seeds>,
    /// Write the history for TensorBoard, too
    #[arg(long)]
    pub(super) tensorboard: bool,
    /// Folder of the results, made if it is missing; results of an earlier run there are replaced [default: runs/digits,
    /// runs/speech, or runs/NAME for a data file NAME.safetensors]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Go on from the checkpoint in the folder of the results; the end is bit for bit that of a run without interruption. What no
    /// flag says is taken from there, and a flag that says something else is refused
    #[arg(long)]
    pub(super) resume: bool,
    /// With --resume: go on although flags, data or model are other than the run was begun with. A line says what is other, and the files of
    /// the run say it from then on
    #[arg(long, requires = "resume")]
    pub(super) allow_changes: bool,
    /// Write a checkpoint so often, within epochs too, that a kill loses at most the steps of N seconds; less often where writing would
    /// slow the training [default: 10]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = argument::seconds)]
    pub(super) checkpoint_seconds: Option<f64>,
    /// Where it runs; the CPU's plugin is installed at the first use [default: cpu]
    #[arg(long, value_enum)]
    pub(super) device: Option<Device>,
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
    earlier::check_folder(&plan.options.out, arguments)?;
    let stop = stop_at_signals();
    let client = client::open_until(plan.device, &stop)?;
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
    match summary.interrupted {
        // Whether a terminal that was closed can still be written to matters to nobody.
        true => Err(interrupted(&options.out)),
        false => printed,
    }
}

impl Arguments {
    /// Whether they are of several runs.
    pub(super) fn are_several(&self) -> bool {
        self.seeds.is_some() || (self.folds.is_some() && self.fold.is_none())
    }

    /// The files that a run is told to read, by flag. Initial parameters are not among them: a run keeps those until it replaces them.
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

/// A run for each seed and each fold.
fn run_several(arguments: &Arguments) -> Result<()> {
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

/// A flag that Ctrl-C, SIGTERM and SIGHUP set.
pub(super) fn stop_at_signals() -> Arc<AtomicBool> {
    signals::stop_flag(|| {
        let name = signals::name();
        screen::note(&format!(
            "{name}: stopping after this step to save it; Ctrl-C {}stops at once",
            if name == "Ctrl-C" { "again " } else { "" }
        ));
    })
}

fn interrupted(out: &Path) -> Error {
    let message = format!("stopped by {} and saved; to go on: {}", signals::name(), to_go_on(out));
    Error::new(ErrorKind::Interrupted, message)
}

/// The command that goes on with the run in a folder.
pub(super) fn to_go_on(out: &Path) -> String {
    format!("spiq train --resume {}", shell::flag("--out", out))
}

/// How a run that has done no step goes on.
fn nothing_done(options: &Options) -> String {
    match options.resume {
        true => format!("the run is as it was before; to go on: {}", to_go_on(&options.out)),
        false => "no step was done, so that nothing is lost; to begin again, give the same command".to_owned(),
    }
}

fn table(summary: &Summary, options: &Options) -> String {
    // Without a test part the accuracy says nothing about samples that were never seen.
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
        let waited = "ended early, as no later epoch was better";
        rows.push(row("", waited.to_owned()));
    }
    rows.extend([
        row("seconds", format!("{:.2}", summary.seconds)),
        row("steps", steps_of(summary)),
        row("steps per second", per_second(summary.steps_per_second)),
    ]);
    for (path, rate) in &summary.spike_rates {
        rows.push(row(&format!("spikes a neuron and step, {path}"), format!("{rate:.4}")));
    }
    for (i, file) in summary.files.iter().enumerate() {
        rows.push(row(if i == 0 { "files" } else { "" }, file.display().to_string()));
    }
    format!("\n{}", table::aligned(&[], &rows))
}

/// How many steps were done, and how many of them were skipped.
fn steps_of(summary: &Summary) -> String {
    match summary.skipped {
        0 => summary.steps.to_string(),
        skipped => format!("{}, {skipped} of them skipped, since a number was not finite", summary.steps),
    }
}

/// Whole numbers, but of slow steps two digits after the point.
fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.0}") }
}
