//! The files a run leaves: checkpoints, metrics, a chart.

#[path = "../../examples/own_training.rs"]
mod own_training;

use std::collections::BTreeMap;
use std::path::Path;

use spiq::display::history;
use spiq::random::Key;
use spiq::train::{Checkpoint, Metrics, Record, prepare_folder, read_records};
use spiq::{Array, DType, ErrorKind, TensorType};

fn checkpoint() -> Checkpoint {
    let mut checkpoint = Checkpoint::default();
    checkpoint.arrays.insert("core/layers/0/kernel".into(), Array::new([2, 3], [0.5f32; 6]).unwrap());
    checkpoint.arrays.insert("core/layers/1/beta".into(), Array::new([3], [0.9f32; 3]).unwrap());
    checkpoint.metadata.insert("step".into(), "7".into());
    checkpoint
}

fn f32s(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

#[test]
fn a_checkpoint_replaces_the_older_one_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("params.safetensors");
    std::fs::write(&path, "an older one").unwrap();
    checkpoint().save(&path).unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint());
    let first = std::fs::read(&path).unwrap();
    checkpoint().save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn a_checkpoint_can_be_read_by_whom_the_umask_lets() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    checkpoint().save(&folder.path().join("checkpoint")).unwrap();
    std::fs::write(folder.path().join("plain"), "").unwrap();
    assert_eq!(mode("checkpoint"), mode("plain"));
}

#[test]
fn parameters_of_another_model_are_refused() {
    let wanted = |path: &str, ty: TensorType| BTreeMap::from([(path.to_owned(), ty)]);
    let select = |path: &str, dims: &[usize]| checkpoint().select(&wanted(path, f32s(dims)), "p.safetensors");
    assert_eq!(select("core/layers/1/beta", &[3]).unwrap().len(), 1);
    assert_eq!(
        select("core/layers/0/kernel", &[3, 2]).unwrap_err().to_string(),
        "p.safetensors: `core/layers/0/kernel` is f32[2,3], but the model needs f32[3,2]"
    );
    let error = select("core/layers/0/bias", &[3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(
        error.to_string(),
        "p.safetensors lacks `core/layers/0/bias` (f32[3]); it holds `core/layers/0/kernel`, `core/layers/1/beta`"
    );
    let mut many = Checkpoint::default();
    (0..9).for_each(|i| _ = many.arrays.insert(i.to_string(), Array::scalar(0u8)));
    let message = many.select(&wanted("x", f32s(&[])), "p").unwrap_err().to_string();
    assert_eq!(message, "p lacks `x` (f32[]); it holds `0`, `1`, `2`, `3`, `4` and 4 more");
}

#[test]
fn a_folder_that_cannot_be_written_is_found_before_a_run() {
    let folder = tempfile::tempdir().unwrap();
    prepare_folder(&folder.path().join("a/b")).unwrap();
    prepare_folder(&folder.path().join("a/b")).unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("a/b")).unwrap().count(), 0);
    std::fs::write(folder.path().join("file"), "").unwrap();
    for bad in [folder.path().join("file"), folder.path().join("file/out")] {
        let error = prepare_folder(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File);
        assert!(error.to_string().starts_with(&format!("cannot make the folder {}: ", bad.display())), "{error}");
    }
}

/// Root ignores permission bits, so a read-only folder of the kernel is used instead.
#[test]
#[cfg(target_os = "linux")]
fn a_read_only_folder_is_found_before_a_run() {
    let error = prepare_folder(Path::new("/proc/self")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(error.to_string().starts_with("cannot write in the folder /proc/self: "), "{error}");
}

fn write(path: &Path, records: &[Record]) {
    let mut metrics = Metrics::create(path).unwrap();
    records.iter().for_each(|record| metrics.write(record.clone()).unwrap());
}

#[test]
fn metrics_are_lines_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let records = [
        Record::step(0, 2.25),
        Record::step(1, f32::INFINITY),
        Record::epoch(1, f32::NAN, 0.9),
        Record::step(u64::MAX, f32::MIN_POSITIVE),
    ];
    write(&path, &records);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            r#"{"step":0,"loss":2.25}"#,
            r#"{"step":1,"loss":null}"#,
            r#"{"epoch":1,"train_loss":null,"test_accuracy":0.9}"#
        ]
    );
    assert_eq!(read_records(&path).unwrap(), records);
}

#[test]
fn a_resumed_run_takes_back_what_came_after_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let early = |record: &Record| match record {
        Record::Step { step, .. } => *step < 2,
        Record::Epoch { epoch, .. } => *epoch < 1,
        other => panic!("{other:?}"),
    };
    let records = [Record::step(0, 3.0), Record::step(1, 2.0), Record::step(2, 1.0), Record::epoch(1, 2.0, 0.5)];
    write(&path, &records);
    let mut metrics = Metrics::resume(&path, early).unwrap();
    metrics.write(Record::step(2, 1.5)).unwrap();
    assert_eq!(read_records(&path).unwrap(), [Record::step(0, 3.0), Record::step(1, 2.0), Record::step(2, 1.5)]);
}

#[test]
fn a_line_cut_off_by_a_crash_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    for tail in
        ["{\"step\":1,\"lo", "{\"step\":1,\"loss\":2.0}", "garbage\n{\"step\":1,\"loss\":2.0}\n", "\n", "\u{0}\n"]
    {
        std::fs::write(&path, format!("{{\"step\":0,\"loss\":2.0}}\n{tail}")).unwrap();
        assert_eq!(read_records(&path).unwrap().len(), 1);
        Metrics::resume(&path, |_| true).unwrap().write(Record::step(1, 1.0)).unwrap();
        assert_eq!(read_records(&path).unwrap(), [Record::step(0, 2.0), Record::step(1, 1.0)], "{tail:?}");
    }
    std::fs::remove_file(&path).unwrap();
    Metrics::resume(&path, |_| true).unwrap();
    assert!(read_records(&path).unwrap().is_empty());
    assert_eq!(Metrics::create(folder.path()).unwrap_err().kind(), ErrorKind::File);
    assert_eq!(read_records(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::File);
}

/// A run like one on the digits: `epochs` of 22 steps.
fn run(epochs: u64) -> Vec<Record> {
    let noise = Key::new(0).normal(epochs as usize * 22);
    let step = |step: u64| {
        let progress = step as f32 / 60.0;
        Record::step(step, (0.25 + 2.0 * (-progress).exp()) * (1.0 + 0.12 * noise[step as usize]))
    };
    let epoch = |epoch: u64| {
        let accuracy = 0.95 - 0.7 * (-(epoch as f32) / 3.0).exp() + 0.01 * noise[epoch as usize];
        (epoch * 22 - 22..epoch * 22).map(step).chain([Record::epoch(epoch, 0.0, accuracy)]).collect::<Vec<_>>()
    };
    (1..=epochs).flat_map(epoch).collect()
}

#[test]
fn a_picture_shows_loss_and_accuracy() {
    let svg = history(&run(20), "digits, int8, seed 0").svg().to_owned();
    for text in ["digits, int8, seed 0", "Training loss", "Test accuracy, ", "moving average", "each batch", "epoch"] {
        assert!(svg.contains(text), "{text}");
    }
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("run.svg"), svg).unwrap();
    assert!(!history(&run(20), "").svg().contains("at first"));
    // The first losses do not set the scale, and layers that fire have a panel.
    let mut records = run(20);
    records[0] = Record::step(0, 7.0);
    let rates = BTreeMap::from([("core/layers/1".to_owned(), 0.25)]);
    records.push(Record::epoch(21, 0.3, 0.9).with_spike_rates(&rates));
    let svg = history(&records, "").svg().to_owned();
    for text in ["Training loss, 7.000 at first", "Spike rates", "core/layers/1"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains(">7<") && !svg.contains(">6<"), "ticks of the first loss");
}

#[test]
fn a_picture_can_be_drawn_of_any_run() {
    let huge: Vec<Record> = (0..50_000).map(|step| Record::step(step, 1e4 / (1.0 + step as f32))).collect();
    let svg = history(&huge, "long <&> \"run\"").svg().to_owned();
    assert!(svg.len() < 200_000 && !svg.contains("<&>"), "{}", svg.len());
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("long.svg"), svg).unwrap();
    for records in [
        vec![],
        vec![Record::step(0, f32::NAN)],
        vec![Record::step(0, 2.0)],
        vec![Record::epoch(1, 1.0, 1.0)],
        vec![Record::step(0, 0.0), Record::step(1, 0.0), Record::epoch(1, 0.0, 0.0), Record::epoch(2, 0.0, 0.0)],
        vec![Record::step(0, f32::MAX), Record::step(1, -f32::MAX), Record::step(u64::MAX, 1e-30)],
    ] {
        let svg = history(&records, "").svg().to_owned();
        assert!(svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf\""), "{records:?}: {svg}");
    }
}

#[test]
fn another_metric_than_the_accuracy_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let rates = BTreeMap::from([("core/layers/1".to_owned(), 0.25)]);
    let records = [
        Record::measured(1, 2.5, "margin", -0.5),
        Record::measured(2, 2.5, "margin", f32::NAN).with_spike_rates(&rates),
        Record::measured(3, 2.5, "margin(0.5)", 1e-30),
        Record::epoch(4, 2.5, 0.75).with_spike_rates(&rates),
    ];
    write(&path, &records);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            r#"{"epoch":1,"train_loss":2.5,"margin":-0.5}"#,
            r#"{"epoch":2,"train_loss":2.5,"spike_rates":{"core/layers/1":0.25},"margin":null}"#,
            r#"{"epoch":3,"train_loss":2.5,"margin(0.5)":1e-30}"#,
            r#"{"epoch":4,"train_loss":2.5,"test_accuracy":0.75,"spike_rates":{"core/layers/1":0.25}}"#,
        ]
    );
    assert_eq!(read_records(&path).unwrap(), records);
    let svg = history(&records, "").svg().to_owned();
    assert!(["margin, -0.5000 at the end", "Test accuracy, 75.0 %"].iter().all(|text| svg.contains(text)));
}

/// Earlier versions wrote a NaN accuracy as `null`.
#[test]
fn records_of_earlier_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    std::fs::write(&path, "{\"epoch\":1,\"train_loss\":null,\"test_accuracy\":null}\n").unwrap();
    assert_eq!(read_records(&path).unwrap(), [Record::epoch(1, f32::NAN, f32::NAN)]);
}

#[test]
fn the_example_of_own_training_runs() {
    let folder = tempfile::tempdir().unwrap();
    let summary = own_training::train(folder.path(), 2).unwrap();
    assert_eq!(summary.steps, 44);
    let records = read_records(&folder.path().join("metrics.jsonl")).unwrap();
    let Some(Record::Epoch { test_accuracy: None, metric, .. }) = records.last() else { panic!("{records:?}") };
    assert_eq!(metric["largest_sum"], Some(summary.test_accuracy));
    // User-defined layers have no model file.
    assert!(!folder.path().join("model.toml").exists());
}
