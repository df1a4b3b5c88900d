//! The command on event recordings: a run records how it read them.

use std::path::Path;
use std::process::{Command, Output};

use spiq::provenance::{Elements, Provenance};
use spiq::train::Checkpoint;
use spiq_events::MadeUp;
use tempfile::TempDir;

const MODEL: &str = r#"layers = [
    { type = "Linear", in_features = 14, out_features = 6 },
    { type = "LIF", hidden_shape = 6 },
    { type = "Linear", in_features = 6, out_features = 3 },
    { type = "LI", layer_shape = 3 },
]"#;

/// A folder with a model and 40 recordings of 28 channels; 30 of them train.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.toml"), MODEL).unwrap();
    let made = MadeUp { samples: 40, events: 60, classes: 3, channels: 28, train: 30, first: 0, seed: 1 };
    made.write(&folder.path().join("made.h5")).unwrap();
    folder
}

fn spiq(folder: &TempDir, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiq"));
    command.args(line.split_whitespace()).current_dir(folder.path()).output().expect("the command starts")
}

#[track_caller]
fn succeeds(folder: &TempDir, line: &str) -> (String, String) {
    let Output { status, stdout, stderr } = spiq(folder, line);
    let [out, error] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    assert!(status.success(), "{line}: {error}");
    (out, error)
}

#[track_caller]
fn refuses(folder: &TempDir, line: &str, expected: &str) {
    let Output { status, stderr, .. } = spiq(folder, line);
    let error = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!((status.code(), error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains(expected), "{error}");
}

fn provenance(path: &Path) -> Provenance {
    Provenance::read(&Checkpoint::load(path).unwrap().metadata, "P").unwrap()
}

/// The table row that starts with `name`.
#[track_caller]
fn row(table: &str, name: &str) -> String {
    let row = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {table}"));
    row.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_remembers_how_it_read_recordings() {
    let folder = folder();
    let train =
        "train --model m.toml --data made.h5 --bins 12 --channels 14 --presence --steps 4 --batch-size 8 --out r";
    let (trained, _) = succeeds(&folder, train);
    let remembered = provenance(&folder.path().join("r/params.safetensors"));
    // With bins alone, they cover the longest recording.
    let dt = remembered.dt.expect("a duration");
    assert!(12.0 * dt > 0.5 && 12.0 * dt < 1.1, "{dt}");
    let said = (remembered.bins, remembered.channels, remembered.elements, remembered.time_steps);
    assert_eq!(said, (Some(12), Some(14), Some(Elements::Presence), Some(12)));

    let predict = "predict --params r/params.safetensors --data made.h5 --output o.safetensors";
    let (predicted, notes) = succeeds(&folder, predict);
    assert_eq!(row(&predicted, "test accuracy"), row(&trained, "test accuracy"));
    assert_eq!(notes, "");
    let (_, notes) = succeeds(&folder, &format!("{predict} --bins 10 --dt 0.05"));
    assert!(notes.contains("another number of bins (--bins: 12 there, 10 here)"), "{notes}");

    succeeds(&folder, "train --resume --out r");
    refuses(&folder, "train --resume --out r --dt 0.01", "another duration of a bin (--dt: ");
    refuses(&folder, "train --resume --out r --channels 7", "Linear");
}

#[test]
fn recordings_that_do_not_fit_are_refused() {
    let folder = folder();
    let train = "train --model m.toml --data made.h5 --steps 1";
    refuses(&folder, train, "28");
    refuses(&folder, &format!("{train} --channels 29"), "29");
    refuses(&folder, &format!("{train} --channels 14 --transform Denois(filter_time=1)"), "Denois");
    refuses(
        &folder,
        &format!("{train} --channels 14 --test-speaker joe"),
        "has no speaker `joe`; available: speaker 0",
    );
    refuses(&folder, &format!("{train} --channels 14 --test-data m.toml"), "m.toml");
    refuses(&folder, "train --data none.h5 --model m.toml", "none.h5");
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn flags_for_recordings_want_recordings() {
    let folder = folder();
    for flags in ["--bins 5", "--test-speaker x", "--test-data made.h5", "--presence"] {
        refuses(&folder, &format!("train --epochs 1 {flags}"), "require recordings: name them with --data");
    }
    refuses(&folder, "train --model m.toml --data none.h5 --bins 5", "cannot read none.h5");
    refuses(&folder, "train --model m.toml --data made.h5 --dt -1", "positive number");
}

#[test]
fn what_is_read_is_not_written() {
    let folder = folder();
    let before = std::fs::read(folder.path().join("made.h5")).unwrap();
    refuses(&folder, "data convert made.h5 --output made.h5", "cannot write made.h5: it is read");
    refuses(&folder, "data show made.h5 --picture made.h5", "cannot write made.h5: it is read");
    refuses(&folder, "data info made.h5 --picture made.h5", "cannot write made.h5: it is read");
    assert_eq!(std::fs::read(folder.path().join("made.h5")).unwrap(), before);
    let (_, note) = succeeds(&folder, "data convert made.h5 --output c.safetensors --bins 3 --dt 0.01");
    assert!(note.contains("events left out: ") && note.contains(" after the last bin"), "{note}");
}
