//! The built command and the settings a run records: what `--resume` refuses and requires, and what `predict` reads from parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::device::cpu;
use spiq::config::ModelConfig;
use spiq::data::{ArrayFile, Dataset};
use spiq::network::Network;
use spiq::optim;
use spiq::provenance::{Provenance, key};
use spiq::quant::linear_only_rules;
use spiq::random::Key;
use spiq::train::{self, Event, Length, Optimizer, Options};
use spiq::{Array, DType, TensorType};
use tempfile::TempDir;

/// The entries written by the first versions.
const EARLY: [&str; 5] = [key::model, key::rules, key::numerics, key::grad_dtype, key::step];

/// A folder in which the command runs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).expect("a file");
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command line that must succeed; returns its standard output and standard error.
    #[track_caller]
    fn succeeds(&self, line: &str) -> (String, String) {
        let output = self.command(line).output().expect("the command starts");
        let Output { status, stdout, stderr } = output;
        let (said, noted) = (String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"));
        assert!(status.success(), "{line}: {status:?} {noted}");
        let notes: Vec<&str> = noted.lines().filter(|line| line.starts_with("note: ")).collect();
        (said, notes.join("\n"))
    }

    /// Runs a command that must fail with one line and change no file; returns the line.
    #[track_caller]
    fn refusal(&self, command: &mut Command) -> String {
        let before = self.files();
        let output = command.output().expect("the command starts");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{command:?}: {error}");
        assert!(error.starts_with("error: ") && error.lines().count() == 1, "not one line: {error}");
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(self.files() == before, "{command:?}: a file was left behind or changed");
        error
    }

    #[track_caller]
    fn refuses(&self, line: &str, expected: &str) {
        let error = self.refusal(&mut self.command(line));
        assert!(error.contains(expected), "{line}: {error}");
    }

    /// Every file and its contents.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
                match entry.metadata().expect("an entry").is_dir() {
                    true => folders.push(entry.path()),
                    false => drop(found.insert(entry.path(), std::fs::read(entry.path()).expect("a file"))),
                }
            }
        }
        found
    }

    fn metadata(&self, name: &str) -> BTreeMap<String, String> {
        ArrayFile::read(&self.path(name)).expect("a file").metadata
    }

    fn provenance(&self, name: &str) -> Provenance {
        Provenance::read(&self.metadata(name), name).expect("a provenance")
    }

    /// Removes metadata that early versions did not write.
    fn age(&self, name: &str) {
        let mut file = ArrayFile::read(&self.path(name)).expect("a file");
        file.metadata.retain(|key, _| EARLY.contains(&key.as_str()));
        assert_eq!(file.metadata.len(), EARLY.len());
        file.write(&self.path(name)).expect("a file");
    }
}

const MODEL: &str = r#"
layers = [
    { type = "Linear", in_features = 64, out_features = 24 },
    { type = "LIF", hidden_shape = 24, activation = { type = "triangular" } },
    { type = "Linear", in_features = 24, out_features = 10, use_bias = false },
    { type = "LI", layer_shape = 10 },
]
"#;

const RULES: &str = "[[rules]]\nweight_qtype = \"int8\"\nact_qtype = \"int8\"\n";

/// The digits as a file, or some of its rows.
fn digits(rows: std::ops::Range<usize>, train: Option<usize>) -> ArrayFile {
    let digits = Dataset::digits();
    let (places, metadata) = (rows.clone().collect::<Vec<_>>(), train.map(|train| ("train".into(), train.to_string())));
    let labels = Array::new([rows.len()], &digits.labels()[rows]).expect("labels");
    let arrays = [("images".to_owned(), digits.inputs().gather(&places).expect("rows")), ("labels".to_owned(), labels)];
    let max = ("max".to_owned(), "16".to_owned());
    ArrayFile { arrays: arrays.into(), metadata: metadata.into_iter().chain([max]).collect() }
}

/// Files of a model, rules and data, and a finished run `out` that uses them.
fn a_run(folder: &Folder) {
    folder.write("model.toml", MODEL);
    folder.write("rules.toml", RULES);
    digits(0..300, Some(250)).write(&folder.path("data.safetensors")).expect("a file");
    folder.succeeds(&format!("{BEGUN} --out out"));
}

/// Every setting differs from its default.
const BEGUN: &str = "train --model model.toml --data data.safetensors --rules rules.toml --numerics qwix --optimizer adamw \
                     --learning-rate 0.003 --schedule cosine --grad-dtype bf16 --time-tile 2 --time-steps 5 --batch-size 25 \
                     --epochs 2 --shift 0.1 --augment DropEvent(p=0.1) --seed 7 --validation 0.2 --patience 9";

/// The message that must refuse each changed flag; a flag missing here fails the test below.
const CHANGED: &[(&str, &str, &str)] = &[
    ("--model", "--model other.toml", "another model (--model: threshold = 1.0 there, threshold = 0.9 here)"),
    ("--data", "--data other.safetensors", "other data (--data)"),
    ("--rules", "--rules none", "another set of rules (--rules: [[rules]] there, none here)"),
    ("--init", "--init out/params.safetensors", "another initialization (--init: drawn there, sha256:"),
    ("--recipe", "--recipe spyx", "another optimizer (--optimizer: adamw there, adam here)"),
    ("--optimizer", "--optimizer sgd", "another optimizer (--optimizer: adamw there, sgd here)"),
    ("--loss", "--loss mse_spikerate", "another loss (--loss: integral_crossentropy there, mse_spikerate here)"),
    ("--metric", "--metric max_accuracy", "another metric (--metric: integral_accuracy there, max_accuracy here)"),
    ("--loss", "--loss integral_crossentropy(smoothing=0.2)", "another loss (--loss: "),
    ("--optimizer", "--optimizer adamw(b2=0.99)", "another optimizer (--optimizer: "),
    ("--schedule", "--schedule cosine(alpha=0.5)", "another schedule (--schedule: "),
    (
        "--group",
        "--group group(path='beta',learning_rate=0.1)",
        "another set of parameter groups (--group: none there, ",
    ),
    (
        "--regularize",
        "--regularize silence(min=0.1)",
        "another set of regularizers (--regularize: none there, silence(min = 0.1) here)",
    ),
    ("--precision", "--precision bf16", "another dtype of products (--precision: f32 there, bf16 here)"),
    (
        "--rules-from-step",
        "--rules-from-step 2",
        "another step at which rules start (--rules-from-step: 0 there, 2 here)",
    ),
    (
        "--clip",
        "--clip 1",
        "another gradient-clipping setting (--clip: none there, clip_by_global_norm(max_norm = 1.0) here)",
    ),
    ("--accumulate", "--accumulate 2", "another number of batches per step (--accumulate: 1 there, 2 here)"),
    ("--ema", "--ema 0.9", "another parameter average (--ema: 0 there, 0.9 here)"),
    ("--schedule", "--schedule constant", "another schedule (--schedule: cosine there, constant here)"),
    ("--numerics", "--numerics exact", "another choice of numerics (--numerics: qwix there, exact here)"),
    ("--grad-dtype", "--grad-dtype f32", "another dtype of gradient products (--grad-dtype: bf16 there, f32 here)"),
    (
        "--matmul-precision",
        "--matmul-precision highest",
        "another precision of f32 products (--matmul-precision: default there, highest here)",
    ),
    ("--time-tile", "--time-tile 3", "another time tile (--time-tile: 2 there, 3 here)"),
    ("--time-tile", "--time-tile 5", "another time tile (--time-tile: 2 there, all here)"),
    ("--learning-rate", "--learning-rate 0.004", "another learning rate (--learning-rate: 0.003 there, 0.004 here)"),
    ("--batch-size", "--batch-size 50", "another batch size (--batch-size: 25 there, 50 here)"),
    ("--epochs", "--epochs 3", "another length (--epochs or --steps: 16 steps there, 24 steps here)"),
    ("--steps", "--steps 21", "another length (--epochs or --steps: 16 steps there, 21 steps here)"),
    ("--time-steps", "--time-steps 6", "another number of time steps (--time-steps: 5 there, 6 here)"),
    ("--shift", "--shift 0", "another shift (--shift: 0.1 there, 0 here)"),
    ("--encode", "--encode Latency(tau=2)", "another coding of samples (--data or --encode: images, rate 1 at "),
    ("--augment", "--augment none", "another augmentation (--augment: DropEvent(p = 0.1) there, none here)"),
    (
        "--augment",
        "--augment DropEvent(p=0.2)",
        "another augmentation (--augment: DropEvent(p = 0.1) there, DropEvent(p = 0.2)",
    ),
    ("--no-shuffle", "--no-shuffle", "another sample order (--no-shuffle: shuffled there, that of the file here)"),
    ("--validation", "--validation 30", "another validation (--validation or --folds: 0.2 there, 30 here)"),
    ("--folds", "--folds 4 --fold 1", "another validation (--validation or --folds: 0.2 there, fold 1 of 4 here)"),
    ("--fold", "--folds 4 --fold 2", "another validation (--validation or --folds: 0.2 there, fold 2 of 4 here)"),
    ("--on-nan", "--on-nan skip", "another handling of non-finite numbers (--on-nan: stop there, skip here)"),
    ("--patience", "--patience 8", "another patience (--patience: 9 there, 8 here)"),
    ("--seed", "--seed 8", "another seed (--seed: 7 there, 8 here)"),
];

/// Flags that do not affect results beyond the order of sums: where files go, how many steps a call has, which processes take part. The device
/// has a separate test.
const FREE: [&str; 18] = [
    "--out",
    "--overwrite",
    "--allow-unmatched",
    "--resume",
    "--allow-changes",
    "--allow-nonfinite",
    "--checkpoint-seconds",
    "--steps-per-call",
    "--help",
    "--device",
    "--devices",
    "--coordinator-address",
    "--num-processes",
    "--process-id",
    "--lost-after",
    "--join-within",
    "--seeds",
    "--tensorboard",
];

/// Flags for reading recordings, tested in `recordings.rs`.
const OF_RECORDINGS: [&str; 7] =
    ["--bins", "--channels", "--dt", "--presence", "--test-data", "--test-speaker", "--transform"];

#[test]
fn every_flag_of_train_that_is_changed_is_refused_by_name() {
    let folder = Folder::new();
    a_run(&folder);
    let help = folder.succeeds("train --help").0;
    let flags: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("-h, ").strip_prefix("--").map(|_| line.trim()))
        .map(|line| line.trim_start_matches("-h, ").split([' ', '=']).next().expect("a flag"))
        .collect();
    let known: BTreeSet<&str> = CHANGED.iter().map(|(flag, ..)| *flag).chain(FREE).chain(OF_RECORDINGS).collect();
    assert_eq!(flags, known, "each flag is refused, or free for a reason");
    folder.write("other.toml", MODEL.replace("hidden_shape = 24", "hidden_shape = 24, threshold = 0.9"));
    digits(1..301, Some(250)).write(&folder.path("other.safetensors")).expect("a file");
    for (flag, change, expected) in CHANGED.iter().copied() {
        let error = folder.refusal(&mut folder.command(&format!("train --resume --out out {change}")));
        assert!(error.contains("out/checkpoint.safetensors belongs to a run with "), "{flag}: {error}");
        assert!(error.contains(expected), "{flag}: {error}");
        if flag != "--recipe" {
            // A digest is not shown.
            let named = error.matches(" there, ").count() + error.matches("other data (").count();
            assert_eq!(named, 1, "{flag} alone is another: {error}");
        }
    }
    // The device is refused before it is opened.
    folder.refuses("train --resume --out out --device tpu", "another device (--device: cpu there, tpu here)");
    let error = folder.refusal(folder.command("train --resume --out out").env("SPIQ_NO_KERNELS", "1"));
    assert!(error.contains("SPIQ_NO_KERNELS: kernels of spiq there, XLA alone here"), "{error}");
    // All differences are reported at once.
    let error = folder.refusal(&mut folder.command("train --epochs 4 --out out --resume --seed 5 --optimizer lion"));
    assert!(["--epochs", "--seed", "--optimizer"].iter().all(|flag| error.contains(flag)), "{error}");
}

#[test]
fn a_run_is_resumed_without_any_flag_and_with_all_of_them() {
    let folder = Folder::new();
    a_run(&folder);
    let before = folder.files();
    let unchanged = |name: &str| assert!(before[&folder.path(name)] == folder.bytes(name), "{name}");
    for line in ["train --resume --out out".to_owned(), format!("{BEGUN} --resume --out out --steps-per-call 2")] {
        let (said, noted) = folder.succeeds(&line);
        assert!(said.contains("\nsteps ") && said.contains("0\n"), "{said}");
        assert_eq!(noted, "", "{line}");
        ["out/params.safetensors", "out/checkpoint.safetensors", "out/metrics.jsonl"].into_iter().for_each(unchanged);
    }
    // The data are also found from another folder.
    std::fs::create_dir(folder.path("elsewhere")).expect("a folder");
    let output = folder.command("train --resume --out ../out").current_dir(folder.path("elsewhere")).output();
    assert!(output.expect("the command starts").status.success());
    // The original files are not read again, except for the data.
    folder.write("model.toml", "");
    folder.write("rules.toml", "");
    folder.succeeds("train --resume --out out");
    std::fs::rename(folder.path("data.safetensors"), folder.path("moved.safetensors")).expect("a file");
    folder.refuses("train --resume --out out", "name the data of the run with --data");
    folder.succeeds("train --resume --out out --data moved.safetensors");
    // The new location is recorded.
    folder.succeeds("train --resume --out out");
    digits(0..300, Some(251)).write(&folder.path("moved.safetensors")).expect("a file");
    folder.refuses("train --resume --out out", "other data (--data)");
    ["out/params.safetensors", "out/metrics.jsonl"].into_iter().for_each(unchanged);
}

#[test]
fn a_new_run_takes_away_what_an_older_one_left() {
    let folder = Folder::new();
    let line = "train --rules none --time-steps 4 --out run";
    folder.succeeds(&format!("{line} --epochs 1"));
    let other = "--seed 1 --learning-rate 0.02";
    let mut child = folder
        .command(&format!("{line} --epochs 4000 {other} --overwrite"))
        .stderr(Stdio::null())
        .spawn()
        .expect("a run");
    // The older run's metrics have 44 steps.
    let begun = Instant::now();
    while std::fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap_or_default().lines().count() < 60 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no steps");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("an end");
    child.wait().expect("an end");
    for name in ["params.safetensors", "checkpoint.safetensors", "training.svg"] {
        assert!(!folder.path("run").join(name).exists(), "{name} of the older run is left");
    }
    folder.refuses(
        &format!("{line} --epochs 1 {other} --resume"),
        "the run in this folder ended before its first checkpoint",
    );
    folder.refuses("train --resume --out run", "start a new run without --resume");
    let nowhere = "there is no run in nowhere to resume; name its folder with --out, or start one without --resume";
    folder.refuses("train --resume --out nowhere", nowhere);
}

#[test]
fn parameters_in_the_folder_of_the_results_can_be_started_from() {
    let folder = Folder::new();
    let line = "train --time-steps 4 --steps 2 --out run";
    folder.succeeds(line);
    folder.refuses(&format!("{line} --init run/params.safetensors"), "run holds a run with another initialization");
    folder.succeeds(&format!("{line} --init run/params.safetensors --overwrite"));
    folder.refuses(
        &format!("{line} --init run/checkpoint.safetensors"),
        "the initial parameters are the checkpoint in run",
    );
    // A refused run removes nothing.
    folder.refuses(&format!("{line} --shift 0.9"), "from 0 to 0.5");
}

#[test]
fn a_run_from_parameters_keeps_their_network_and_says_where_it_started() {
    let folder = Folder::new();
    a_run(&folder);
    let line = "train --init out/params.safetensors --data data.safetensors --batch-size 25 --steps 2 --out tuned";
    assert_eq!(folder.succeeds(line).1, "");
    let (then, now) = (folder.provenance("out/params.safetensors"), folder.provenance("tuned/params.safetensors"));
    assert_eq!((&now.model, now.numerics, now.time_steps), (&then.model, then.numerics, Some(5)));
    assert!(now.init != then.init && now.init.is_some());
    let noted = folder.succeeds(&format!("{line} --time-steps 6 --numerics exact --overwrite")).1;
    for expected in ["(--time-steps: 5 there, 6 here)", "(--numerics: qwix there, exact here)"] {
        assert!(noted.contains(expected), "{noted}");
    }
    // Without --init, the start is the checkpoint's; with it, it must be the same.
    folder.succeeds("train --resume --out tuned");
    folder.succeeds("train --resume --out tuned --init out/params.safetensors");
    folder.refuses(
        "train --resume --out tuned --init tuned/params.safetensors",
        "another initialization (--init: sha256:",
    );
    assert_eq!(folder.provenance("tuned/checkpoint.safetensors").init, now.init);
}

/// The numbers in the lines that start with these words.
fn accuracies(said: &str, words: &str) -> Vec<String> {
    let lines = said.lines().filter(|line| line.starts_with(words) && line.ends_with(" %"));
    lines.map(|line| line.split_whitespace().rev().nth(1).expect("a number").to_owned()).collect()
}

#[test]
fn predictions_have_the_accuracy_that_training_printed() {
    let folder = Folder::new();
    digits(0..1797, None).write(&folder.path("all.safetensors")).expect("a file");
    digits(1437..1797, None).write(&folder.path("test.safetensors")).expect("a file");
    // Like a file whose metadata do not give the image encoding.
    let mut silent = digits(1437..1797, None);
    silent.metadata.clear();
    silent.write(&folder.path("silent.safetensors")).expect("a file");
    // With one scale for a whole batch, another batch size gives different outputs.
    folder.write("rules.toml", RULES.to_owned() + "disable_channelwise_axes = true\n");
    let mut seen = BTreeSet::new();
    for flags in [
        "",
        "--seed 3",
        "--time-steps 9 --seed -4",
        "--rules none",
        "--numerics qwix --seed 2",
        "--numerics qwix --rules rules.toml",
        "--recipe spyx --optimizer lion --learning-rate 1e-3",
        "--time-tile 2 --grad-dtype bf16 --seed 5",
        "--loss ce_max_membrane_loss --ema 0.9 --learning-rate 2e-3",
        "--rules none --precision bf16 --metric last_step_accuracy",
    ] {
        let steps = if flags.contains("--time-steps") { "" } else { "--time-steps 5" };
        let trained =
            folder.succeeds(&format!("train --epochs 2 --batch-size 64 --out run --overwrite {steps} {flags}")).0;
        let wanted = accuracies(&trained, "test accuracy, ");
        assert_eq!(wanted.len(), 1, "{trained}");
        let predict = |data: &str, flags: &str| {
            folder.succeeds(&format!(
                "predict --params run/params.safetensors --data {data}.safetensors --output o.safetensors {flags}"
            ))
        };
        let (said, noted) = predict("all", "");
        assert_eq!((accuracies(&said, "test accuracy, "), noted), (wanted.clone(), String::new()), "{flags}: {said}");
        for data in ["test", "silent"] {
            let (said, noted) = predict(data, "--mode ptq");
            assert_eq!(
                (accuracies(&said, "accuracy, "), noted),
                (wanted.clone(), String::new()),
                "{flags} {data}: {said}"
            );
        }
        let named = "--model run/model.toml --rules run/rules.toml";
        if !flags.contains("--rules") {
            assert_eq!(accuracies(&predict("all", named).0, "test accuracy, "), wanted, "{flags}");
            folder.succeeds("quantize --params run/params.safetensors --output q.safetensors");
            let said = folder
                .succeeds("predict --mode ptq --params q.safetensors --data all.safetensors --output o.safetensors");
            assert_eq!(
                (accuracies(&said.0, "test accuracy, "), said.1),
                (wanted.clone(), String::new()),
                "{flags}: stored"
            );
        }
        seen.extend(wanted);
    }
    assert!(seen.len() > 4, "accuracies that are all the same show nothing: {seen:?}");
}

/// Spikes, events or numbers, of which `train` samples train; the class is the position with the most.
fn trains(dtype: DType, largest: u32, count: usize, train: Option<usize>) -> ArrayFile {
    let (steps, features) = (6, 12);
    let draws = Key::new(5).uniform(count * steps * features, 0.0, 1.0);
    let labels: Vec<i32> = (0..count as i32).map(|n| n * 7 % 5).collect();
    let value = |i: usize| {
        let (label, feature) = (labels[i / (steps * features)] as usize, i % features);
        let rate = if feature % 5 == label { 0.6 } else { 0.2 };
        f64::from(u8::from(draws[i] < rate)) * f64::from(1 + (i as u32 * 31) % largest)
    };
    let values: Vec<f64> = (0..draws.len()).map(value).collect();
    let inputs = Array::from_f64(TensorType::new(dtype, [count, steps, features]), &values).expect("samples");
    let arrays = [("inputs".to_owned(), inputs), ("labels".to_owned(), Array::new([count], labels).expect("labels"))];
    ArrayFile { arrays: arrays.into(), metadata: train.map(|n| ("train".into(), n.to_string())).into_iter().collect() }
}

const TRAINS: &str = r#"
layers = [
    { type = "Linear", in_features = 12, out_features = 12 },
    { type = "LIF", hidden_shape = 12, activation = { type = "triangular" } },
    { type = "Dropout", rate = 0.2 },
    { type = "Linear", in_features = 12, out_features = 5 },
    { type = "LI", layer_shape = 5 },
]
"#;

#[test]
fn trains_of_spikes_are_tested_as_in_training() {
    let folder = Folder::new();
    folder.write("model.toml", TRAINS);
    folder.write("rules.toml", RULES.to_owned() + "disable_channelwise_axes = true\n");
    for (dtype, largest, coding) in
        [(DType::U8, 1, "spikes"), (DType::U8, 3, "counts"), (DType::F32, 1, "reals"), (DType::F32, 3, "reals")]
    {
        for (count, train) in [(470, Some(100)), (50, None)] {
            trains(dtype, largest, count, train).write(&folder.path("data.safetensors")).expect("a file");
            let line = "train --model model.toml --data data.safetensors --rules rules.toml --batch-size 10 --epochs 2 --out run --overwrite";
            let said = folder.succeeds(line).0;
            assert_eq!(folder.metadata("run/params.safetensors")["coding"], coding);
            let predict = "predict --params run/params.safetensors --data data.safetensors --output o.safetensors";
            let (predicted, noted) = folder.succeeds(predict);
            let (words, of) = match train {
                Some(_) => ("test accuracy, ", "test accuracy, "),
                None => ("accuracy on the training samples, ", "accuracy, "),
            };
            let wanted = accuracies(&said, words);
            assert_eq!((accuracies(&predicted, of), noted), (wanted, String::new()), "{dtype} {largest}: {predicted}");
        }
    }
    // The same spikes give the same outputs whatever type they are stored in, if the network was trained on spikes.
    let outputs = || ArrayFile::read(&folder.path("o.safetensors")).expect("a file").arrays["outputs"].clone();
    for (trained, other) in [(DType::U8, DType::F32), (DType::F32, DType::U8)] {
        trains(trained, 1, 50, None).write(&folder.path("data.safetensors")).expect("a file");
        trains(other, 1, 50, None).write(&folder.path("other.safetensors")).expect("a file");
        folder.succeeds(
            "train --model model.toml --data data.safetensors --rules rules.toml --batch-size 10 --epochs 1 --out run --overwrite",
        );
        let predict = |data: &str| {
            let line =
                format!("predict --params run/params.safetensors --data {data}.safetensors --output o.safetensors");
            assert_eq!(folder.succeeds(&line).1, "");
            outputs()
        };
        assert_eq!(predict("other"), predict("data"), "trained on {trained}");
    }
    trains(DType::U8, 3, 50, None).write(&folder.path("data.safetensors")).expect("a file");
    trains(DType::U8, 1, 50, None).write(&folder.path("spikes.safetensors")).expect("a file");
    folder.succeeds(
        "train --model model.toml --data spikes.safetensors --batch-size 10 --epochs 1 --out run --overwrite",
    );
    let line = "predict --params run/params.safetensors --data data.safetensors --output o.safetensors";
    assert!(
        folder.succeeds(line).1.contains("another coding of samples (--data or --encode: spikes there, counts here)")
    );
}

#[test]
fn the_spikes_of_a_group_do_not_depend_on_the_batch_size() {
    let folder = Folder::new();
    // A group of 360 samples and one of 120, after 300 training samples.
    digits(0..780, Some(300)).write(&folder.path("data.safetensors")).expect("a file");
    let mut unlabelled = digits(0..780, Some(300));
    unlabelled.arrays.remove("labels");
    unlabelled.write(&folder.path("unlabelled.safetensors")).expect("a file");
    folder.succeeds("train --data data.safetensors --rules none --epochs 1 --time-steps 4 --out run");
    let outputs = |data: &str, flags: &str| {
        let line =
            format!("predict --params run/params.safetensors --data {data}.safetensors --output o.safetensors {flags}");
        assert_eq!(folder.succeeds(&line).1, "");
        ArrayFile::read(&folder.path("o.safetensors")).expect("a file").arrays["outputs"].clone()
    };
    let all = outputs("data", "");
    assert_eq!(all.dims(), [780, 4, 10]);
    assert_eq!(outputs("unlabelled", ""), all, "labels change nothing");
    for size in ["1", "50", "359", "1000"] {
        let far = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-5;
        let differ = outputs("data", &format!("--batch-size {size}"))
            .to_f64()
            .iter()
            .zip(&all.to_f64())
            .filter(|p| far(*p))
            .count();
        // A sum rounded differently may, rarely, make a neuron fire a step later.
        assert!(differ <= 40, "{size}: {differ} outputs are others");
    }
}

#[test]
fn labels_that_are_not_usable_cost_the_accuracy_only() {
    let folder = Folder::new();
    folder.succeeds("train --steps 2 --time-steps 4 --out run");
    let mut data = digits(0..20, None);
    data.arrays.insert("labels".to_owned(), Array::new([20], [12i32; 20]).expect("labels"));
    data.write(&folder.path("data.safetensors")).expect("a file");
    let (said, noted) =
        folder.succeeds("predict --params run/params.safetensors --data data.safetensors --output o.safetensors");
    assert_eq!(said, "o.safetensors: outputs f32[20,4,10]\n");
    assert!(noted.starts_with("note: no accuracy: data.safetensors: `labels` holds 12"), "{noted}");
}

#[test]
fn what_contradicts_the_training_is_noted() {
    let folder = Folder::new();
    digits(1437..1797, None).write(&folder.path("test.safetensors")).expect("a file");
    let mut bright = digits(1437..1797, None);
    bright.metadata.insert("max".to_owned(), "20".to_owned());
    bright.write(&folder.path("bright.safetensors")).expect("a file");
    folder.succeeds("train --steps 3 --time-steps 5 --out run");
    folder.write(
        "model.toml",
        folder.bytes("run/model.toml").iter().map(|b| *b as char).collect::<String>().replacen(
            "threshold = 1.0",
            "threshold = 0.9",
            1,
        ),
    );
    let line = "predict --params run/params.safetensors --output o.safetensors";
    for (flags, expected) in [
        ("--time-steps 6", "(--time-steps: 5 there, 6 here)"),
        ("--rules none", "(--rules: [[rules]] there, none here)"),
        ("--numerics qwix", "(--numerics: exact there, qwix here)"),
        ("--model model.toml", "(--model: threshold = 1.0 there, threshold = 0.9 here)"),
        ("--seed 1", "spikes are drawn with --seed 1"),
        ("--data bright.safetensors", "(--data or --encode: images, rate 1 at 16 there, images, rate 1 at 20 here)"),
    ] {
        let data = if flags.contains("--data") { "" } else { "--data test.safetensors" };
        let noted = folder.succeeds(&format!("{line} {data} {flags}")).1;
        assert!(noted.contains(expected) && noted.lines().count() == 1, "{flags}: {noted}");
    }
    let output = folder.command(&format!("{line} --data test.safetensors")).env("SPIQ_NO_KERNELS", "1").output();
    let noted = String::from_utf8(output.expect("the command starts").stderr).expect("UTF-8");
    assert!(noted.contains("SPIQ_NO_KERNELS"), "{noted}");
}

#[test]
fn quantized_weights_keep_what_their_parameters_say() {
    let folder = Folder::new();
    a_run(&folder);
    folder.write("int4.toml", "[[rules]]\nweight_qtype = \"int4\"\n");
    folder.succeeds("quantize --params out/params.safetensors --rules int4.toml --output q.safetensors");
    let (then, now) = (folder.provenance("out/params.safetensors"), folder.provenance("q.safetensors"));
    assert_ne!(now.rules, then.rules);
    assert_eq!(Provenance { rules: then.rules.clone(), ..now }, then);
    folder.succeeds("quantize --params out/params.safetensors --output q.safetensors");
    assert_eq!(folder.provenance("q.safetensors"), then);
}

#[test]
fn files_of_earlier_versions_are_read_with_a_note() {
    let folder = Folder::new();
    digits(1437..1797, None).write(&folder.path("test.safetensors")).expect("a file");
    let line = "train --batch-size 64 --time-steps 5 --steps 6 --out run";
    folder.succeeds(line);
    let before = folder.provenance("run/params.safetensors");
    folder.age("run/params.safetensors");
    folder.age("run/checkpoint.safetensors");
    let predict = "predict --params run/params.safetensors --data test.safetensors --output o.safetensors";
    let noted = folder.succeeds(predict).1;
    assert_eq!(noted, "note: run/params.safetensors does not record its time_steps, seed; using defaults");
    assert_eq!(folder.succeeds(&format!("{predict} --time-steps 5 --seed 0")).1, "");
    let noted = folder.succeeds(&format!("{line} --resume")).1;
    assert!(
        noted.starts_with("note: run/checkpoint.safetensors does not record its ") && noted.contains("optimizer"),
        "{noted}"
    );
    // It now has this version's metadata, except for its start and its identity, which are unknown.
    assert_eq!(folder.provenance("run/params.safetensors"), Provenance { init: None, run: None, ..before });
    folder.age("run/checkpoint.safetensors");
    folder.refuses(&format!("{line} --resume --rules none"), "another set of rules");
    // Another program's metadata are ignored.
    let mut file = ArrayFile::read(&folder.path("run/params.safetensors")).expect("a file");
    file.metadata = [("format", "pt"), ("model", "a network"), ("rules", "no TOML"), ("seed", "x"), ("data", "mine")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    file.write(&folder.path("foreign.safetensors")).expect("a file");
    let predict = "predict --params foreign.safetensors --data test.safetensors --output o.safetensors --time-steps 5";
    folder.refuses(predict, "the model in foreign.safetensors");
    folder.succeeds(&format!("{predict} --model run/model.toml"));
    // Unknown values in spiq's own metadata are refused.
    file.metadata = folder.metadata("run/checkpoint.safetensors");
    file.metadata
        .extend([("spiq", "9.9.9"), ("numerics", "newton")].map(|(key, value)| (key.to_owned(), value.to_owned())));
    file.write(&folder.path("foreign.safetensors")).expect("a file");
    folder.refuses(predict, "say that `numerics` is `newton`, which this version of spiq does not understand");
}

/// A library run with table names is equivalent to one of the command.
#[test]
fn a_run_of_the_library_is_gone_on_with_and_predicted_with() {
    let folder = Folder::new();
    digits(1437..1797, None).write(&folder.path("test.safetensors")).expect("a file");
    let run = |out: &str, optimizer: Optimizer, stop: bool| {
        let (train, test) = Dataset::digits().split().expect("two parts");
        let model = ModelConfig::parse(MODEL, "test").expect("a model");
        let network = Network::new(model, linear_only_rules("int8", "int8")).expect("a network");
        let default = Options::new(network, train, test, folder.path(out));
        let options =
            Options { optimizer, time_steps: 5, length: Length::Steps(6), steps_per_call: Some(1), ..default };
        let stopped = AtomicBool::new(false);
        let summary = train::run(cpu(), &options, &stopped, &mut |event| {
            if let Event::Step { done: 3, .. } = event {
                stopped.store(stop, Ordering::Relaxed);
            }
        });
        summary.expect("a run")
    };
    let lion = || Optimizer::named("lion", 1e-3, "cosine").expect("names of the tables");
    run("whole", lion(), false);
    let summary = run("parts", lion(), true);
    assert!(summary.interrupted);
    for file in ["model.toml", "rules.toml"] {
        assert!(summary.files.contains(&folder.path("parts").join(file)), "{:?}", summary.files);
    }
    assert_eq!(folder.succeeds("train --resume --out parts").1, "");
    for file in ["params.safetensors", "checkpoint.safetensors", "metrics.jsonl", "model.toml", "rules.toml"] {
        assert!(folder.bytes(&format!("whole/{file}")) == folder.bytes(&format!("parts/{file}")), "{file} differs");
    }
    let predict = "predict --params parts/params.safetensors --data test.safetensors --output o.safetensors";
    folder.succeeds(&format!("{predict} --model parts/model.toml --rules parts/rules.toml"));
    // Prediction works with user-defined parts; only the program that started the run can resume it.
    run("own", optim::chain([optim::clip_by_global_norm(1.0).into(), optim::sgd(0.1).into()]).into(), true);
    folder.succeeds(&predict.replace("parts", "own"));
    folder.refuses(
        "train --resume --out own",
        "own/checkpoint.safetensors is of a run that the command line cannot continue: the optimizer: the arguments of `chain` are \
         `clip_by_global_norm(1), sgd(0.1)`; give them as `key = value, …`, texts in quotes; resume it with the program that started \
         it",
    );
    let expected = "another optimizer (--optimizer: chain(clip_by_global_norm(1), sgd(0.1)) there, adam here)";
    folder.refuses("train --resume --out own --optimizer adam", expected);
}
