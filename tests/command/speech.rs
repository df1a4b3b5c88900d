//! Spoken digits: the built-in data set, its recipe, and converting recordings to spikes.

use std::path::Path;
use std::process::{Command, Output};

use spiq::data::{Binning, Coding, Dataset, Reading};
use spiq::provenance::{Elements, Provenance};
use spiq::train::Checkpoint;
use tempfile::TempDir;

fn spiq(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spiq")).args(arguments).current_dir(folder.path()).output().expect("it starts")
}

#[track_caller]
fn succeeds(folder: &TempDir, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = spiq(folder, arguments);
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

#[track_caller]
fn refuses(folder: &TempDir, arguments: &[&str], expected: &str) {
    let Output { status, stderr, .. } = spiq(folder, arguments);
    let error = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!((status.code(), error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains(expected), "{error}");
}

/// Two recordings in the repository.
fn recordings() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/recordings").display().to_string()
}

#[test]
fn the_built_in_data_have_their_own_split_and_any_other() {
    let speech = Dataset::speech();
    let (train, test) = speech.split().unwrap();
    assert_eq!((train.count(), test.count(), speech.classes()), (2250, 250, 10));
    assert_eq!((speech.inputs().samples().dims(), speech.inputs().coding()), (&[2500, 64, 140][..], Coding::Counts));
    for part in [&train, &test] {
        let count = |class| part.labels().iter().filter(|label| **label == class).count();
        assert!((0..10).all(|class| count(class) == part.count() / 10));
    }
    // The frames cover nearly all of each word.
    let bytes = speech.inputs().samples().bytes();
    let all: u64 = bytes.iter().map(|count| u64::from(*count)).sum();
    let kept = spiq::events::sound::speech().map(|sample| sample.unwrap().events.len() as u64).sum::<u64>();
    assert!(all <= kept && (kept - all) * 1000 < kept, "{all} of {kept} spikes");

    let binning = Binning { bins: Some(20), dt: Some(0.02), channels: Some(70), presence: true };
    let reading = Reading { binning, test_speaker: Some("lucas".into()), ..Reading::default() };
    let others = Dataset::read("speech".as_ref(), &reading, Some(10), &mut |_, _| {}).unwrap();
    let (train, test) = others.split().unwrap();
    assert_eq!((train.count(), test.count()), (2000, 500));
    assert_eq!((others.inputs().samples().dims(), others.inputs().coding()), (&[2500, 20, 70][..], Coding::Spikes));
}

#[test]
fn its_recipe_trains_and_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    // A folder named `speech` does not interfere.
    std::fs::create_dir(folder.path().join("speech")).unwrap();
    let trained = succeeds(&folder, &["train", "--recipe", "speech", "--steps", "3", "--batch-size", "16"]);
    // The data set's name alone suffices.
    let by_data =
        succeeds(&folder, &["train", "--data", "speech", "--steps", "3", "--batch-size", "16", "--out", "again"]);
    let params = folder.path().join("runs/speech/params.safetensors");
    let said = Provenance::read(&Checkpoint::load(&params).unwrap().metadata, "P").unwrap();
    let reading = (said.bins, said.dt, said.elements);
    assert_eq!(reading, (Some(32), Some(0.028), Some(Elements::Counts)));
    assert!(said.rules.is_some_and(|rules| rules.to_toml().contains("int8")));

    let predict =
        ["predict", "--params", "runs/speech/params.safetensors", "--data", "speech", "--output", "o.safetensors"];
    let predicted = succeeds(&folder, &predict);
    let accuracy = |text: &str| {
        let line = text.lines().find(|line| line.contains("accuracy")).expect("an accuracy");
        line.split_whitespace().rev().nth(1).expect("a number").to_owned()
    };
    assert_eq!(accuracy(&predicted), accuracy(&trained), "{predicted}{trained}");
    let files =
        ["runs/speech", "again"].map(|run| std::fs::read(folder.path().join(run).join("params.safetensors")).unwrap());
    assert!(files[0] == files[1], "{by_data}");
    let resumed = succeeds(&folder, &["train", "--resume", "--out", "runs/speech"]);
    assert_eq!(accuracy(&resumed), accuracy(&trained));
    refuses(&folder, &["train", "--resume", "--out", "runs/speech", "--dt", "0.01"], "another duration of a bin");
    refuses(&folder, &["train", "--recipe", "speech", "--test-speaker", "joe"], "available: george, jackson, lucas");
    refuses(&folder, &["train", "--recipe", "speech", "--channels", "70"], "give another one with --model");
}

/// Recipes for files train on data in their layout, and name the data set they need.
#[test]
fn recipes_for_files_train_on_a_file_in_that_layout() {
    let folder = tempfile::tempdir().unwrap();
    for (recipe, classes) in [("shd", "20"), ("ssc", "35"), ("shd-dcls", "20")] {
        refuses(
            &folder,
            &["train", "--recipe", recipe],
            "give the training files with --data and the test files with --test-data",
        );
        let make = ["data", "make", "--output", "made.h5", "--samples", "90", "--train", "80", "--events", "400"];
        succeeds(&folder, &[&make[..], &["--classes", classes]].concat());
        let small = ["--data", "made.h5", "--steps", "1", "--batch-size", "2", "--out", recipe];
        let said = succeeds(&folder, &[&["train", "--recipe", recipe], &small[..]].concat());
        assert!(said.contains("test accuracy"), "{said}");
        let params = Checkpoint::load(&folder.path().join(recipe).join("params.safetensors")).unwrap();
        let said = Provenance::read(&params.metadata, "P").unwrap();
        assert_eq!((said.bins, said.dt, said.channels), (Some(100), Some(0.01), Some(140)), "{recipe}");
        assert_eq!(said.rules.is_some_and(|rules| !rules.is_empty()), recipe != "shd-dcls", "{recipe}");
        let delays = params.arrays.iter().filter(|(path, _)| path.ends_with("/delay")).count();
        assert_eq!(delays, if recipe == "shd-dcls" { 3 } else { 2 }, "{recipe}");
    }
}

#[test]
fn recordings_become_an_shd_shaped_file() {
    let folder = tempfile::tempdir().unwrap();
    let said = succeeds(&folder, &["data", "cochlea", &recordings(), "--output", "two.h5", "--channels", "140"]);
    assert!(said.starts_with("wrote 2 recordings, ") && said.contains("the first 1 train"), "{said}");
    let mut file = spiq::events::open(&folder.path().join("two.h5")).unwrap();
    let description = file.description().clone();
    assert_eq!((description.count, description.train, description.sensor.width), (2, Some(1), 140));
    assert_eq!((description.speakers, description.classes.len()), (vec!["jackson".to_owned(), "theo".to_owned()], 8));
    // Index 12 trains, index 0 tests. Times are f16, as in SHD.
    for (label, place) in [(3, 7 * 50 + 3 * 5 + 4), (7, 45 * 50 + 7 * 5 + 1)] {
        let sample = file.next().unwrap().unwrap();
        let built_in = spiq::events::sound::speech().nth(place).unwrap().unwrap();
        assert_eq!((sample.label, sample.events.len()), (Some(label), built_in.events.len()));
        let mean = |times: &[i64]| times.iter().sum::<i64>() as f64 / times.len() as f64;
        // The built-in times are rounded down to a millisecond.
        let off = mean(&sample.events.t) - mean(&built_in.events.t);
        assert!((300.0..700.0).contains(&off), "{off} µs");
    }
}

#[test]
fn what_is_no_recording_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("words")).unwrap();
    let cochlea = |recordings: &'static str| ["data", "cochlea", recordings, "--output", "o.h5"];
    refuses(&folder, &cochlea("words"), "words has no WAV files in it");
    refuses(&folder, &cochlea("none.zip"), "none.zip");
    std::fs::write(folder.path().join("words/yes_1.wav"), b"RIFF").unwrap();
    refuses(&folder, &cochlea("words"), "yes_1.wav ends before its last sample; copy it again");
    let recordings = recordings();
    let with = |more: [&'static str; 4]| {
        let all = [&["data", "cochlea", recordings.as_str()][..], &more].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    for (more, sentence) in [
        (["--output", "o.h5", "--channels", "701"], "a cochlea has from 1 to 700 channels, not 701"),
        (["--output", "o.h5", "--high", "4000"], "at 8000 samples per second there are no tones above 4000 Hz"),
        (["--output", "o.h5", "--low", "5000"], "must rise from above 0"),
        (["--output", "away/o.h5", "--channels", "70"], "there is no folder away"),
    ] {
        refuses(&folder, &with(more).iter().map(String::as_str).collect::<Vec<_>>(), sentence);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
