//! `cargo xtask accuracy`: the numbers of benches/ACCURACY.md, each from a recipe with its flags.
//!
//! A run that has ended is not trained again, so that the command goes on where it was stopped. Each core trains a network of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

use crate::project::{Result, root};

/// A network on some data, in some bits.
struct Row {
    /// What it is called in the table.
    name: &'static str,
    /// Flags of `spiq train`, divided by spaces.
    flags: &'static str,
}

/// Data, and how they are divided.
struct Split {
    /// The heading of its table.
    title: &'static str,
    /// How the command line calls it.
    called: &'static str,
    /// What its table shows, where that is not said by the title.
    about: &'static str,
    /// Flags, one set for each part; a row's number is the mean over all parts.
    parts: &'static [&'static str],
    rows: &'static [&'static [Row]],
    /// The seeds of each part.
    seeds: &'static [u64],
}

/// A network in four arithmetics.
macro_rules! in_all_bits {
    ($name:literal, $flags:literal) => {
        [
            Row { name: concat!($name, ", fp32"), flags: concat!($flags, " --rules none") },
            Row { name: concat!($name, ", int8"), flags: concat!($flags, " --rules int8") },
            Row { name: concat!($name, ", int4 weights"), flags: concat!($flags, " --rules int4,int8") },
            Row { name: concat!($name, ", 1.58-bit weights"), flags: concat!($flags, " --rules ternary,int8") },
        ]
    };
}

const SPEECH: &[&[Row]] = &[
    &in_all_bits!("with delays", "--recipe speech"),
    &in_all_bits!("without delays", "--recipe speech --model benches/accuracy/speech-without-delays.toml"),
];
const DIGITS: &[&[Row]] = &[
    &in_all_bits!("without delays", "--recipe digits"),
    &in_all_bits!("with delays", "--recipe digits --model benches/accuracy/digits-with-delays.toml"),
];

/// The recipe `speech` with one thing taken away or put in the place of another. Those of [`SPEECH`] say what delays and bits do.
const CHANGED: &[&[Row]] = &[&[
    Row { name: "as it is, int8", flags: "--recipe speech --rules int8" },
    Row {
        name: "no delays",
        flags: "--recipe speech --model benches/accuracy/speech-without-delays.toml --rules int8",
    },
    Row {
        name: "no BatchNorm",
        flags: "--recipe speech --model benches/accuracy/speech-without-norm.toml --rules int8",
    },
    Row {
        name: "no Equalize",
        flags: "--recipe speech --model benches/accuracy/speech-without-equalize.toml --rules int8",
    },
    Row {
        name: "Equalize that does not vary",
        flags: "--recipe speech --model benches/accuracy/speech-without-varied-sound.toml --rules int8",
    },
    Row { name: "no augmentation", flags: "--recipe speech --augment none --rules int8" },
    Row {
        name: "no dropout",
        flags: "--recipe speech --model benches/accuracy/speech-without-dropout.toml --rules int8",
    },
    Row {
        name: "surrogate arctan for triangular",
        flags: "--recipe speech --model benches/accuracy/speech-arctan.toml --rules int8",
    },
    Row {
        name: "adaptive neurons for LIF",
        flags: "--recipe speech --model benches/accuracy/speech-adaptive.toml --rules int8",
    },
    Row { name: "fp32", flags: "--recipe speech --rules none" },
    Row { name: "int4 weights", flags: "--recipe speech --rules int4,int8" },
    Row { name: "1.58-bit weights", flags: "--recipe speech --rules ternary,int8" },
]];

const SPEAKERS: &[&str] = &[
    "--test-speaker george",
    "--test-speaker jackson",
    "--test-speaker lucas",
    "--test-speaker nicolas",
    "--test-speaker theo",
];

const SPLITS: &[Split] = &[
    Split { title: "Handwritten digits", called: "digits", about: "", parts: &[""], rows: DIGITS, seeds: &[0, 1, 2] },
    Split {
        title: "Spoken digits, the data set's own split",
        called: "own",
        about: "",
        parts: &[""],
        rows: SPEECH,
        seeds: &[0, 1, 2],
    },
    Split {
        title: "Spoken digits, what is taken away",
        called: "changed",
        about: "Speakers that training did not hear: jackson and theo, on whom nothing was chosen.",
        parts: &["--test-speaker jackson", "--test-speaker theo"],
        rows: CHANGED,
        seeds: &[0, 1, 2],
    },
    Split {
        title: "Spoken digits, unseen speakers",
        called: "unseen",
        about: "Each of the five speakers in turn is left out of training. The network was chosen on george and lucas.",
        parts: SPEAKERS,
        rows: SPEECH,
        seeds: &[0, 1, 2],
    },
];

/// Trains what is not trained yet, and writes the tables. `only` names splits by what they are called; without any all are meant.
pub fn run(only: &[&str]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| SPLITS.iter().all(|split| split.called != **name)) {
        let known: Vec<&str> = SPLITS.iter().map(|split| split.called).collect();
        return Err(format!("unknown split {unknown}; there are {}", known.join(", ")));
    }
    build()?;
    let wanted = |split: &&Split| only.is_empty() || only.contains(&split.called);
    let runs: Vec<Run> = SPLITS.iter().filter(wanted).flat_map(Split::runs).collect();
    train_all(&runs)?;
    let path = root().join("benches/ACCURACY.md");
    std::fs::write(&path, page()).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{} written", path.display());
    Ok(())
}

/// Trains on all cores, a network on each: two cores that share a step wait for each other.
fn train_all(runs: &[Run]) -> Result<()> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let left = Mutex::new(runs.iter());
    let next = || left.lock().expect("no other thread panics").next();
    let on_core = |core: usize| -> Result<()> {
        while let Some(run) = next() {
            run.train(core)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|core| scope.spawn(move || on_core(core))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("training does not panic"))
    })
}

fn build() -> Result<()> {
    let status = Command::new("cargo").args(["build", "--release", "--bin", "spiq"]).current_dir(root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err("spiq does not build".to_owned()),
    }
}

/// One training, and where its results lie.
struct Run {
    flags: Vec<String>,
    folder: PathBuf,
}

impl Split {
    fn rows(&self) -> Vec<&'static Row> {
        self.rows.iter().copied().flatten().collect()
    }

    fn runs(&self) -> Vec<Run> {
        let rows = 0..self.rows().len();
        rows.flat_map(|row| self.runs_of(row)).collect()
    }

    /// The runs of a row: each part with each seed.
    fn runs_of(&self, row: usize) -> Vec<Run> {
        let of = |part: usize, seed: u64| {
            let words = self.rows()[row].flags.split_whitespace().chain(self.parts[part].split_whitespace());
            let flags: Vec<String> = words.map(str::to_owned).chain(["--seed".to_owned(), seed.to_string()]).collect();
            let folder = root().join("target/accuracy").join(folder_of(&flags));
            Run { flags, folder }
        };
        let parts = 0..self.parts.len();
        parts.flat_map(|part| self.seeds.iter().map(move |seed| of(part, *seed))).collect()
    }
}

/// What a run's folder is called: its flags, so that tables share the runs that they have in common.
fn folder_of(flags: &[String]) -> String {
    let kept = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    flags.join(" ").trim_start_matches('-').chars().map(kept).collect()
}

/// Which parameters of a run are looked at, by the name that `spiq evaluate` gives them.
const LOOKED_AT: [&str; 2] = ["last", "best"];

impl Run {
    /// Trains on this core, with a tenth of the training samples to choose the best epoch, and evaluates the last epoch and the best.
    fn train(&self, core: usize) -> Result<()> {
        if LOOKED_AT.iter().all(|which| self.file(which).exists()) {
            return Ok(());
        }
        println!("spiq train {} --out {}", self.flags.join(" "), self.folder.display());
        let out = self.folder.display().to_string();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        spiq(core, &[&["train", "--validation", "0.1", "--out", &out], &flags[..]].concat())?;
        for which in LOOKED_AT {
            let told = spiq(core, &["evaluate", &out, "--params", which, "--json"])?;
            let file = self.file(which);
            std::fs::write(&file, told).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(())
    }

    fn file(&self, which: &str) -> PathBuf {
        self.folder.join(format!("evaluated-{which}.json"))
    }

    /// What `spiq evaluate` said, if the run has ended.
    fn told(&self, which: &str) -> Option<BTreeMap<String, Value>> {
        read(&self.file(which))
    }

    /// Seconds of the training.
    fn seconds(&self) -> Option<f64> {
        read(&self.folder.join("summary.json"))?.get("seconds")?.as_f64()
    }
}

fn read(path: &Path) -> Option<BTreeMap<String, Value>> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Runs the command on a core, and gives what it printed.
fn spiq(core: usize, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(root().join("target/release/spiq"));
    let output = command.args(arguments).current_dir(root()).output();
    let output = output.map_err(|error| format!("spiq: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("spiq {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))),
    }
}

const HEAD: &str = "\
# Accuracy

Written by `cargo xtask accuracy`, which trains every network of these tables with the seeds 0, 1 and 2 and evaluates it
(`target/accuracy` keeps the runs). Each number is a mean over seeds, and over speakers where there are several, ± the standard
deviation of the seeds. A tenth of the training samples does not train: they choose the best epoch. The test samples choose
nothing. Seconds are those of one core, beside other runs. Operations are counted as NeuroBench counts them: a sample, on average, without products with zero; *dense* counts these,
too. Bytes are those of the file that `spiq quantize` writes without its head, bits those that weights and all other parameters
have.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for split in SPLITS {
        let _ = write!(
            page,
            "\n## {}\n{}\n| network | last epoch, % | best epoch by validation, % | parameters | bits | bytes | spikes | MACs | ACs | \
             dense | seconds |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
            split.title,
            if split.about.is_empty() { String::new() } else { format!("\n{}\n", split.about) }
        );
        for (number, row) in split.rows().into_iter().enumerate() {
            page.push_str(&line(split, number, row));
        }
    }
    page
}

/// A row's line, with what its flags are; a row whose runs have not all ended says how many have.
fn line(split: &Split, number: usize, row: &Row) -> String {
    let runs = split.runs_of(number);
    let told: Vec<_> =
        runs.iter().filter_map(|run| Some((run.told("last")?, run.told("best")?, run.seconds()?))).collect();
    if told.len() < runs.len() {
        return format!("| {}: {} of {} runs have ended | | | | | | | | | | |\n", row.name, told.len(), runs.len());
    }
    let mean = |of: &dyn Fn(usize) -> f64| (0..told.len()).map(of).sum::<f64>() / told.len() as f64;
    let last = |key: &str| mean(&|run| number_of(&told[run].0, key));
    let accuracy = |which: usize| {
        let of = |run: usize| 100.0 * number_of(if which == 0 { &told[run].0 } else { &told[run].1 }, "accuracy");
        format!("{:.1} ± {:.1}", mean(&of), spread(split, &of))
    };
    let whole = |key: &str| format!("{:.0}", last(key));
    let counts = ["parameters", "bits", "bytes", "spikes_per_sample", "effective_macs", "effective_acs", "dense"];
    let counts: Vec<String> = counts.iter().map(|key| whole(key)).collect();
    let seconds = mean(&|run| told[run].2);
    format!(
        "| {} (`{}`) | {} | {} | {} | {seconds:.0} |\n",
        row.name,
        row.flags,
        accuracy(0),
        accuracy(1),
        counts.join(" | ")
    )
}

fn number_of(told: &BTreeMap<String, Value>, key: &str) -> f64 {
    told.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// The standard deviation, over seeds, of the mean over all parts. Runs are in the order of parts, each with all seeds.
fn spread(split: &Split, of: &dyn Fn(usize) -> f64) -> f64 {
    let (parts, seeds) = (split.parts.len(), split.seeds.len());
    let of_seed = |seed: usize| (0..parts).map(|part| of(part * seeds + seed)).sum::<f64>() / parts as f64;
    let means: Vec<f64> = (0..seeds).map(of_seed).collect();
    let mean = means.iter().sum::<f64>() / seeds as f64;
    let squares: f64 = means.iter().map(|x| (x - mean).powi(2)).sum();
    (squares / (seeds.max(2) - 1) as f64).sqrt()
}
