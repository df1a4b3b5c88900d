//! Several runs in one command, sweeps, TensorBoard logs, and the page that compares runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::evaluated::{refuses, spiq, succeeds};
use serde_json::Value;
use spiq::train::{Record, read_records};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("lines of JSON");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const SHORT: &str = "--time-steps 3 --steps 30 --batch-size 64 --rules none";

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file")
}

#[test]
fn seeds_are_runs_of_their_own_with_mean_and_spread() {
    let folder = folder();
    let folder = folder.path();
    let said = succeeds(folder, &format!("train {SHORT} --seeds 4,7 --validation 0.1 --out many"));
    succeeds(folder, &format!("train {SHORT} --seed 7 --validation 0.1 --out one"));
    assert!(bytes(&folder.join("many/seed-7/params.safetensors")) == bytes(&folder.join("one/params.safetensors")));
    let runs = lines(&folder.join("many/runs.jsonl"));
    let names: Vec<&str> = runs.iter().map(|run| run["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["seed 4", "seed 7"]);
    assert_eq!(runs[1]["settings"]["seed"], "7");
    let of: Vec<f64> = runs.iter().map(|run| run["test_accuracy"].as_f64().expect("a number")).collect();
    assert_ne!(of[0], of[1]);
    let (mean, spread) = ((of[0] + of[1]) / 2.0, (of[0] - of[1]).abs() / 2f64.sqrt());
    let wanted = format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * spread);
    assert!(said.contains(&wanted), "{wanted}: {said}");
    // A number of seeds, starting at 0.
    succeeds(folder, &format!("train {SHORT} --seeds 2 --out two"));
    assert!(folder.join("two/seed-0/summary.json").exists() && folder.join("two/seed-1/summary.json").exists());
    for (flags, expected) in [
        ("--seeds 1,1", "distinct seeds separated by commas"),
        ("--seeds 0", "distinct seeds separated by commas"),
        ("--seeds 2 --seed 1", "cannot be used with"),
        ("--fold 1", "--folds"),
        ("--folds 3 --validation 0.1", "cannot be used with"),
        ("--validation 2.5", "a fraction between 0 and 1"),
        ("--patience 2", "patience needs validation samples"),
    ] {
        refuses(folder, &format!("train {SHORT} --out refused {flags}"), expected);
    }
    assert!(!folder.join("refused").exists());
}

#[test]
fn folds_are_trained_one_after_the_other_and_resumed() {
    let folder = folder();
    let folder = folder.path();
    let line = format!("train {SHORT} --folds 3 --out folds");
    let said = succeeds(folder, &line);
    assert!(said.contains("mean ± spread") && said.contains("fold 3"), "{said}");
    let runs = lines(&folder.join("folds/runs.jsonl"));
    assert_eq!(runs.len(), 3);
    let accuracies: BTreeSet<String> = runs.iter().map(|run| run["best"]["validation_accuracy"].to_string()).collect();
    assert!(accuracies.len() > 1, "{accuracies:?}");
    succeeds(folder, &format!("train {SHORT} --folds 3 --fold 2 --out second"));
    assert!(bytes(&folder.join("folds/fold-2/best.safetensors")) == bytes(&folder.join("second/best.safetensors")));
    // Finished runs are not repeated; a missing one is.
    std::fs::remove_dir_all(folder.join("folds/fold-2")).expect("a folder");
    let written =
        |fold: &str| std::fs::metadata(folder.join(fold).join("params.safetensors")).and_then(|m| m.modified());
    let before = written("folds/fold-1").expect("a time");
    let (code, _, noted) = spiq(folder, &format!("{line} --resume"));
    assert_eq!(code, 0, "{noted}");
    assert!(noted.contains("fold 1, already finished") && noted.contains("fold 2 (2 of 3)"), "{noted}");
    assert_eq!(written("folds/fold-1").expect("a time"), before);
    assert!(bytes(&folder.join("folds/fold-2/best.safetensors")) == bytes(&folder.join("second/best.safetensors")));
    assert_eq!(lines(&folder.join("folds/runs.jsonl")), {
        let mut again = runs.clone();
        again[1]["seconds"] = lines(&folder.join("folds/runs.jsonl"))[1]["seconds"].clone();
        again[1]["steps_per_second"] = lines(&folder.join("folds/runs.jsonl"))[1]["steps_per_second"].clone();
        again
    });
    refuses(folder, &format!("{line} --resume --seed 5"), "another seed (--seed: 0 there, 5 here)");
}

#[test]
fn runs_of_two_experiments_are_not_mixed() {
    let folder = folder();
    let folder = folder.path();
    let began = "--time-steps 3 --steps 4 --batch-size 64 --rules none";
    succeeds(folder, &format!("train {began} --learning-rate 0.01 --seeds 2 --out o"));
    let expected = "seed 2 would differ from the run in o/seed-0, which has another learning rate \
                    (--learning-rate: 0.01 there, 0.004 here)";
    refuses(folder, &format!("train {began} --seeds 3 --resume --out o"), expected);
    assert!(!folder.join("o/seed-2").exists());
    // Runs that have started need no flags.
    succeeds(folder, "train --seeds 2 --resume --out o");
    succeeds(folder, &format!("train {began} --learning-rate 0.01 --seeds 3 --resume --out o"));
    assert_eq!(lines(&folder.join("o/runs.jsonl")).len(), 3);
    succeeds(folder, &format!("sweep {began} --grid learning_rate=0.01,0.02 --out s"));
    let more = "--grid learning_rate=0.01,0.02,0.03 --resume --out s";
    refuses(folder, &format!("sweep {more} --time-steps 3 --steps 4 --rules none"), "--batch-size: 64 there, 32 here");
    succeeds(folder, &format!("sweep {began} {more}"));
}

#[test]
fn earlier_results_do_not_stay_beside_new_ones() {
    let folder = folder();
    let folder = folder.path();
    let short = "--time-steps 3 --steps 2 --batch-size 64 --rules none";
    let report = |expected: &str| {
        let said = succeeds(folder, "report o --output report.html --no-evaluation");
        assert!(said.contains(expected), "{said}");
    };
    succeeds(folder, &format!("train {short} --out o"));
    succeeds(folder, &format!("train {short} --seeds 3 --out o --overwrite"));
    assert!(!folder.join("o/metrics.jsonl").exists() && !folder.join("o/model.toml").exists());
    report("3 runs");
    // User files are not deleted.
    std::fs::write(folder.join("o/seed-2/notes.txt"), "mine").expect("a file");
    refuses(folder, &format!("train {short} --seeds 2 --out o"), "o/seed-2 is from an earlier command");
    assert!(folder.join("o/seed-2/params.safetensors").exists());
    std::fs::remove_file(folder.join("o/seed-2/notes.txt")).expect("a file");
    std::fs::write(folder.join("o/notes.txt"), "mine").expect("a file");
    succeeds(folder, &format!("train {short} --seeds 2 --out o --overwrite"));
    assert!(!folder.join("o/seed-2").exists() && folder.join("o/notes.txt").exists());
    succeeds(folder, &format!("sweep {short} --grid seed=5,6,7 --out o --overwrite"));
    assert!(!folder.join("o/seed-0").exists() && !folder.join("o/runs.jsonl").exists());
    succeeds(folder, &format!("sweep {short} --grid seed=5,6 --out o --overwrite"));
    report("2 runs");
    // A run that no list contains is the user's.
    succeeds(folder, &format!("train {short} --out o/seed-9"));
    report("2 runs");
    refuses(folder, &format!("train {short} --seeds 2 --out o"), "o/seed-9 is from an earlier command");
}

#[test]
fn files_of_the_user_are_not_written_over() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, "train --time-steps 3 --steps 2 --out run");
    for name in ["model.toml", "rules.toml"] {
        std::fs::copy(folder.join("run").join(name), folder.join(name)).expect("a file");
    }
    let line = "train --time-steps 3 --steps 2 --out .";
    refuses(
        folder,
        &format!("{line} --model model.toml"),
        "--model is model.toml, which the run would replace or remove",
    );
    refuses(folder, &format!("{line} --rules ./rules.toml"), "--rules is ./rules.toml");
    refuses(folder, line, "./model.toml belongs to no run, and a run would replace or remove it");
    refuses(folder, "train --model run/model.toml --seeds 2 --out run", "--model is run/model.toml");
    assert!(folder.join("run/model.toml").exists() && !folder.join("metrics.jsonl").exists());
}

#[test]
fn a_run_that_fails_is_told_below_the_table_and_by_the_exit_code() {
    let folder = folder();
    let folder = folder.path();
    let line = "sweep --time-steps 3 --steps 9 --rules none --optimizer sgd --grid learning_rate=0.01,1e38 --out s";
    let (code, said, noted) = spiq(folder, line);
    assert_eq!(code, 1, "{noted}");
    assert!(noted.lines().last().is_some_and(|line| line.starts_with("error: 1 of 2 runs failed: ")), "{noted}");
    let rows: Vec<&str> = said.lines().filter(|line| line.starts_with("run ")).collect();
    assert!(rows.len() == 3 && rows[1].ends_with("failed") && rows[2].starts_with("run 02 failed: "), "{said}");
    // Commands on such folders answer with one sentence.

    refuses(folder, "evaluate s", "s holds several runs: name one of them, such as s/run-01");
    refuses(folder, "evaluate s/run-02", "the run in s/run-02 stopped at a number that is not finite");
    refuses(folder, "evaluate elsewhere", "there is no run in elsewhere");
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let folder = folder();
    let folder = folder.path();
    for (flags, expected) in [
        ("--accumulate 1000", "an optimizer step takes 1000 batches, but the run has only 30, so nothing would"),
        ("--learning-rate -1", "it must be a positive number"),
        ("--shift -0.5", "the probability of a shift is -0.5, but must be from 0 to 0.5"),
        ("--patience -1", "it must be a whole number from 1"),
        ("--clip -1", "must be a positive number"),
        ("--folds 1", "error: the number of folds is 1, but must be from 2"),
        ("--batch-size 5000", "--batch-size 1437 or less"),
    ] {
        let short = SHORT.replace("--batch-size 64", if flags.starts_with("--batch") { "" } else { "--batch-size 64" });
        refuses(folder, &format!("train {short} --out refused {flags}"), expected);
    }
    succeeds(folder, "train --time-steps 3 --steps 2 --regularize none --clip none --group none --out o");
}

#[test]
fn a_sweep_tries_all_choices_and_sorts_them() {
    let folder = folder();
    let folder = folder.path();
    let line =
        format!("sweep {SHORT} --grid learning_rate=1e-5,4e-3 --grid optimizer=adam;lion --validation 0.1 --out s");
    let said = succeeds(folder, &line);
    let runs = lines(&folder.join("s/sweep.jsonl"));
    let settings: Vec<(&str, &str)> = runs
        .iter()
        .map(|run| {
            let of = |name: &str| run["settings"][name].as_str().expect("a setting");
            (of("learning_rate"), of("optimizer"))
        })
        .collect();
    assert_eq!(settings, [("1e-5", "adam"), ("1e-5", "lion"), ("4e-3", "adam"), ("4e-3", "lion")]);
    // A run's files record its settings.
    let metadata = spiq::train::Checkpoint::load(&folder.join("s/run-04/params.safetensors")).expect("a file").metadata;
    assert_eq!((metadata["optimizer"].as_str(), metadata["learning_rate"].as_str()), ("lion", "0.004"));
    // The first table row has the best validation accuracy.
    let best = |run: &Value| run["best"]["validation_accuracy"].as_f64().expect("a number");
    let highest = runs.iter().map(best).fold(0.0, f64::max);
    let winner = runs.iter().find(|run| best(run) == highest).expect("a run");
    let shown = said.lines().find(|line| line.starts_with("run 0")).expect("a line");
    assert!(shown.starts_with(winner["name"].as_str().expect("a name")), "{said}");
    assert!(!said.contains("no validation"), "{said}");
    let (code, _, noted) = spiq(folder, &format!("{line} --resume"));
    assert_eq!((code, noted.matches("already finished").count()), (0, 4), "{noted}");
}

#[test]
fn a_sweep_draws_choices_and_reads_them_from_a_file() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(
        folder.join("space.toml"),
        "learning_rate = \"loguniform(low = 1e-4, high = 1e-2)\"\nbatch_size = [32, 64]\nno_shuffle = [true, false]\n",
    )
    .expect("a file");
    let line = "sweep --time-steps 3 --steps 4 --rules none --space space.toml --random 4 --out";
    let said = succeeds(folder, &format!("{line} a"));
    assert!(said.contains("sorted by test accuracy, as there is no validation"), "{said}");
    succeeds(folder, &format!("{line} b"));
    let settings = |out: &str| -> Vec<Value> {
        lines(&folder.join(out).join("sweep.jsonl")).iter().map(|run| run["settings"].clone()).collect()
    };
    assert_eq!(settings("a"), settings("b"));
    succeeds(folder, &format!("{line} c --draw-seed 1"));
    assert_ne!(settings("a"), settings("c"));
    let different: BTreeSet<String> = settings("a").iter().map(ToString::to_string).collect();
    assert_eq!(different.len(), 4);
    for one in settings("a") {
        let rate: f64 = one["learning_rate"].as_str().and_then(|rate| rate.parse().ok()).expect("a number");
        assert!((1e-4..=1e-2).contains(&rate), "{rate}");
    }
    // A grid with fewer choices than requested.
    let (code, _, noted) =
        spiq(folder, "sweep --time-steps 3 --steps 2 --rules none --grid batch_size=32,64 --random 5 --out d");
    assert!(code == 0 && noted.contains("there are only 2 distinct combinations"), "{noted}");
}

#[test]
fn what_cannot_be_swept_is_refused() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("bad.toml"), "batch_size = { low = 1 }").expect("a file");
    std::fs::write(folder.join("worse.toml"), "batch_size = ").expect("a file");
    for (flags, expected) in [
        ("", "the sweep has no settings"),
        ("--grid learning_rat=1", "there is no setting `learning_rat`; did you mean `learning_rate`?"),
        ("--grid out=a,b", "there is no setting `out`"),
        ("--grid batch_size", "must be of the form NAME=V1,V2"),
        ("--grid batch_size=", "has no values"),
        ("--grid batch_size=32,32", "has a value twice"),
        ("--grid batch_size=32 --grid batch-size=64", "is given twice"),
        ("--grid batch_size=32,many", "invalid value 'many' for '--batch-size"),
        ("--grid optimizer=adam,adamant", "adamant"),
        ("--grid no_shuffle=perhaps", "must be true or false"),
        ("--grid learning_rate=uniform(low=1,high=2)", "give the number of draws with --random N"),
        ("--grid learning_rate=uniform(1) --random 2", "is not of the form `uniform(low = 1, high = 2)`"),
        ("--grid seed=1,2 --seeds 3", "a sweep trains each combination once"),
        ("--grid batch_size=32,5000", "the batch size is 5000"),
        ("--space bad.toml", "bad.toml: the values of `batch_size` must be a list"),
        ("--space worse.toml", "worse.toml:1: "),
        ("--space none.toml", "cannot read none.toml"),
    ] {
        refuses_all(folder, &format!("sweep {SHORT} --out refused {flags}"), expected);
    }
}

/// Checks for a one-line error, after any notes.
#[track_caller]
fn refuses_all(folder: &Path, line: &str, expected: &str) {
    let (code, said, noted) = spiq(folder, line);
    let error: Vec<&str> = noted.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!((code, said.as_str(), error.len()), (2, "", 1), "{line}: {noted}");
    assert!(error[0].contains(expected), "{line}: {noted}");
}

/// The scalars of an event file, by tag: (step, value). Checks lengths but not checksums, which have separate tests.
fn scalars(path: &Path) -> BTreeMap<String, Vec<(u64, f32)>> {
    let mut found = BTreeMap::<String, Vec<(u64, f32)>>::new();
    let bytes = bytes(path);
    let mut at = 0;
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a length")) as usize;
        let event = message(&bytes[at + 12..at + 12 + length]);
        at += 12 + length + 4;
        let step = event.iter().find(|field| field.0 == 2).map_or(0, |field| field.1);
        for (_, _, summary) in event.iter().filter(|field| field.0 == 5) {
            for (_, _, value) in message(summary).iter().filter(|field| field.0 == 1) {
                let value = message(value);
                let tag = value.iter().find(|field| field.0 == 1).expect("a tag");
                let number = value.iter().find(|field| field.0 == 2).expect("a number").1;
                let tag = String::from_utf8(tag.2.clone()).expect("UTF-8");
                found.entry(tag).or_default().push((step, f32::from_bits(number as u32)));
            }
        }
    }
    assert_eq!(at, bytes.len());
    found
}

/// The fields of a message: number, numeric value, bytes.
fn message(bytes: &[u8]) -> Vec<(u8, u64, Vec<u8>)> {
    let (mut fields, mut at) = (Vec::new(), 0);
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    };
    while at < bytes.len() {
        let key = varint(&mut at);
        let number = (key >> 3) as u8;
        match key & 7 {
            0 => fields.push((number, varint(&mut at), Vec::new())),
            1 => {
                fields.push((number, u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8")), Vec::new()));
                at += 8;
            }
            2 => {
                let length = varint(&mut at) as usize;
                fields.push((number, 0, bytes[at..at + length].to_vec()));
                at += length;
            }
            5 => {
                let value = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4"));
                fields.push((number, value.into(), Vec::new()));
                at += 4;
            }
            other => panic!("a field of kind {other}"),
        }
    }
    fields
}

#[test]
fn the_history_is_written_for_tensorboard() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, "train --time-steps 3 --epochs 2 --rules none --validation 0.1 --out run");
    assert!(!folder.join("run/events.out.tfevents.spiq").exists());
    succeeds(folder, "train --time-steps 3 --epochs 2 --rules none --validation 0.1 --out run --tensorboard");
    let found = scalars(&folder.join("run/events.out.tfevents.spiq"));
    let (mut losses, mut tests, mut validations, mut rates) = (vec![], vec![], vec![], vec![]);
    for record in read_records(&folder.join("run/metrics.jsonl")).expect("records") {
        match record {
            Record::Step { step, loss } => losses.push((step, loss.expect("a loss"))),
            Record::Epoch { test_accuracy, validation_accuracy, spike_rates, .. } => {
                let steps = losses.len() as u64;
                tests.push((steps, test_accuracy.expect("an accuracy")));
                validations.push((steps, validation_accuracy.expect("an accuracy")));
                rates.push((steps, spike_rates["core/layers/1"].expect("a rate")));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(losses.len() > 20 && tests.len() == 2);
    assert_eq!(found["loss/step"], losses);
    assert_eq!(found["accuracy/test"], tests);
    assert_eq!(found["accuracy/validation"], validations);
    assert_eq!(found["spike_rate/core/layers/1"], rates);
    assert_eq!(found["loss/train"].len(), 2);
    // A resumed run includes the earlier values.
    succeeds(folder, "train --resume --out run --tensorboard");
    assert_eq!(scalars(&folder.join("run/events.out.tfevents.spiq")), found);
}

#[test]
fn a_page_compares_runs() {
    let folder = folder();
    let folder = folder.path();
    let flags = "--time-steps 3 --epochs 2 --batch-size 128 --validation 0.1";
    succeeds(folder, &format!("train {flags} --out runs/int8"));
    succeeds(folder, &format!("train {flags} --rules none --learning-rate 0.01 --seed 3 --out runs/fp32"));
    let said = succeeds(folder, "report runs --output report.html --title Digits");
    assert!(said.contains("report.html: 2 runs"), "{said}");
    let page = std::fs::read_to_string(folder.join("report.html")).expect("a page");
    for part in [
        "<title>Digits</title>",
        "prefers-color-scheme:dark",
        "Training loss",
        "Validation accuracy",
        "Settings that differ",
        "Accuracy by class",
        "predicted class",
        "core/layers/3",
        "--seed 3",
        "--learning-rate 0.01",
        "--validation 0.1",
        "--out runs/fp32-again",
        "not yet",
    ] {
        assert_eq!(page.contains(part), part != "not yet", "{part}");
    }
    // The page loads nothing from the network.
    for part in ["http://", "https://", "src=", "<link", "<script", "@import", "url("] {
        let own = ["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "url(#"];
        let without = own.iter().fold(page.clone(), |page, own| page.replace(own, ""));
        assert!(!without.contains(part), "{part}");
    }
    // The command on the page reproduces the run.
    let end = page.find("--out runs/fp32-again").expect("a folder") + "--out runs/fp32-again".len();
    let start = page[..end].rfind("spiq train").expect("a command");
    let command = &page[start..end];
    succeeds(folder, command.trim_start_matches("spiq "));
    let arrays = |name: &str| spiq::train::Checkpoint::load(&folder.join(name)).expect("a file").arrays;
    assert_eq!(arrays("runs/fp32/params.safetensors"), arrays("runs/fp32-again/params.safetensors"));
    let said = succeeds(folder, "report runs/int8 --output one.html --no-evaluation");
    assert!(said.contains("1 runs"), "{said}");
    assert!(!std::fs::read_to_string(folder.join("one.html")).expect("a page").contains("Accuracy by class"));
    std::fs::create_dir(folder.join("empty")).expect("a folder");
    refuses(folder, "report empty --output r.html", "there is no run in empty");
    refuses(folder, "report nowhere --output r.html", "cannot read the folder nowhere");
    refuses(folder, "report runs/int8 --output nowhere/r.html", "cannot write nowhere/r.html");
}

#[test]
fn the_picture_marks_the_best_epoch() {
    let folder = folder();
    let folder = folder.path();
    succeeds(folder, "train --time-steps 3 --epochs 3 --rules none --validation 0.1 --out run");
    let summary: Value = serde_json::from_slice(&bytes(&folder.join("run/summary.json"))).expect("JSON");
    let svg = std::fs::read_to_string(folder.join("run/training.svg")).expect("a picture");
    for part in [&format!("best epoch, {}", summary["best"]["epoch"]), "validation", "test", "mean of an epoch"] {
        assert!(svg.contains(part), "{part}");
    }
}
