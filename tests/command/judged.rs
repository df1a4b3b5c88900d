//! Model selection in a run: validation samples, the best epoch, patience, and that resuming preserves all of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::device::cpu;
use spiq::config::ModelConfig;
use spiq::data::{ArrayFile, Dataset};
use spiq::network::Network;
use spiq::provenance::Provenance;
use spiq::quant::linear_only_rules;
use spiq::random::Key;
use spiq::train::{
    Best, Checkpoint, Event, Length, Metric, Model, Options, Patience, Record, Summary, Validation, read_records, run,
};
use spiq::{Array, DType, ErrorKind};

const MODEL: &str = r#"
layers = [
    { type = "Linear", in_features = 64, out_features = 24 },
    { type = "LIF", hidden_shape = 24, activation = { type = "triangular" } },
    { type = "Linear", in_features = 24, out_features = 10, use_bias = false },
    { type = "LI", layer_shape = 10 },
]
"#;

/// A run of ten epochs, each of 13 steps with a tenth of the samples held out for validation.
fn options(out: &Path) -> Options {
    let (train, test) = Dataset::digits().split().expect("two parts");
    let model = ModelConfig::parse(MODEL, "test").expect("a model");
    let network = Network::new(model, linear_only_rules("int8", "int8")).expect("a network");
    Options {
        validation: Validation::Share(0.1),
        batch_size: 97,
        length: Length::Epochs(10),
        time_steps: 4,
        shift: 0.1,
        steps_per_call: Some(4),
        seed: 3,
        ..Options::new(network, train, test, out)
    }
}

/// Runs to the end, or until the first call after `stop_at` steps.
fn go(options: &Options<dyn Model>, stop_at: Option<usize>) -> spiq::Result<Summary> {
    let stop = AtomicBool::new(false);
    run(cpu(), options, &stop, &mut |event| {
        if let (Event::Step { done, .. }, Some(at)) = (event, stop_at) {
            stop.store(done >= at, Ordering::Relaxed);
        }
    })
}

/// (epoch, validation, test) of each epoch.
fn epochs(folder: &Path) -> Vec<(usize, f32, f32)> {
    let of = |record: Record| match record {
        Record::Epoch { epoch, test_accuracy, validation_accuracy, .. } => {
            Some((epoch as usize, validation_accuracy.expect("validation"), test_accuracy.expect("test")))
        }
        _ => None,
    };
    read_records(&folder.join("metrics.jsonl")).expect("records").into_iter().filter_map(of).collect()
}

/// The first of the epochs with the highest validation accuracy.
fn best_of(epochs: &[(usize, f32, f32)]) -> Best {
    let highest = epochs.iter().map(|(_, validation, _)| *validation).fold(0.0, f32::max);
    let (epoch, validation_accuracy, test_accuracy) =
        *epochs.iter().find(|epoch| epoch.1 == highest).expect("an epoch");
    Best { epoch, validation_accuracy, test_accuracy }
}

const LEFT: [&str; 4] = ["params.safetensors", "best.safetensors", "checkpoint.safetensors", "metrics.jsonl"];

#[track_caller]
fn same_files(one: &Path, other: &Path) {
    for name in LEFT {
        let read = |folder: &Path| std::fs::read(folder.join(name)).expect(name);
        assert!(read(one) == read(other), "{name} differs");
    }
}

#[test]
fn the_best_epoch_is_chosen_on_validation_and_kept_beside_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = options(folder.path());
    let summary = go(&options, None).expect("a run");
    let epochs = epochs(folder.path());
    let best = best_of(&epochs);
    assert_eq!((epochs.len(), summary.best, summary.stopped_early), (10, Some(best), false));
    let (_, validation, test) = epochs[9];
    assert_eq!((summary.validation_accuracy, summary.test_accuracy), (Some(validation), test));
    assert!(epochs.iter().any(|(_, validation, test)| validation != test), "samples that are the test's");

    let checkpoint = Checkpoint::load(&folder.path().join("best.safetensors")).expect("the best epoch");
    let said = Provenance::read(&checkpoint.metadata, "best").expect("a provenance");
    assert_eq!((said.best, said.step), (Some(best), Some(best.epoch as u64 * 13)));
    assert_eq!((said.validation, said.data_file), (Some(Validation::Share(0.1)), None));
    let last = Checkpoint::load(&folder.path().join("params.safetensors")).expect("the last epoch");
    assert_eq!(last.arrays.keys().collect::<Vec<_>>(), checkpoint.arrays.keys().collect::<Vec<_>>());
    assert_eq!(Provenance::read(&last.metadata, "last").expect("a provenance").best, None);
    // These are the parameters after that epoch: a run stopped there also has them.
    let other = tempfile::tempdir().expect("a folder");
    let stopped = Options { out: other.path().to_owned(), ..options };
    go(&stopped, Some(best.epoch * 13)).expect("a part of a run");
    let there = Checkpoint::load(&other.path().join("params.safetensors")).expect("parameters");
    assert_eq!(there.arrays, checkpoint.arrays);
}

#[test]
fn a_run_ends_when_no_epoch_is_better_for_so_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { patience: Patience::Epochs(2), length: Length::Epochs(60), ..options(folder.path()) };
    let summary = go(&options, None).expect("a run");
    let epochs = epochs(folder.path());
    let best = best_of(&epochs);
    assert!(summary.stopped_early && !summary.interrupted && epochs.len() < 60);
    assert_eq!((epochs.len(), summary.best), (best.epoch + 2, Some(best)));
    // A run that has stopped early is complete: resuming does nothing.
    let before: Vec<Vec<u8>> = LEFT.map(|name| std::fs::read(folder.path().join(name)).expect(name)).into();
    let again = go(&Options { resume: true, ..options }, None).expect("nothing is left to do");
    assert_eq!((again.steps, again.stopped_early, again.best), (0, true, Some(best)));
    for (name, before) in LEFT.iter().zip(before) {
        assert!(std::fs::read(folder.path().join(name)).expect("a file") == before, "{name}");
    }
}

#[test]
fn an_interrupted_run_has_the_same_best_epoch_and_patience() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let patient = |out: &Path| Options { patience: Patience::Epochs(3), length: Length::Epochs(40), ..options(out) };
    let end = go(&patient(whole.path()), None).expect("a run");
    let total = epochs(whole.path()).len() * 13;
    // Before the end of the first epoch, inside an epoch, at the end of one, and while patience is running.
    for (part, stop_at) in [5, 20, 39, total - 14].into_iter().enumerate() {
        let options = Options { resume: part > 0, ..patient(parts.path()) };
        assert!(go(&options, Some(stop_at)).expect("a part of a run").interrupted, "{stop_at}");
    }
    let rest = go(&Options { resume: true, ..patient(parts.path()) }, None).expect("the rest");
    assert_eq!((rest.best, rest.stopped_early, rest.test_accuracy), (end.best, true, end.test_accuracy));
    same_files(whole.path(), parts.path());
}

/// A folder as left by `kill -9`: metrics and best epoch are later than the checkpoint.
#[test]
fn a_killed_run_has_the_same_best_epoch() {
    let (whole, parts) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    go(&options(whole.path()), None).expect("a run");
    for killed_at in [6, 30, 70] {
        go(&options(parts.path()), Some(killed_at)).expect("a part of a run");
        let checkpoint = std::fs::read(parts.path().join("checkpoint.safetensors")).expect("a checkpoint");
        go(&Options { resume: true, ..options(parts.path()) }, Some(killed_at + 50)).expect("more of it");
        std::fs::write(parts.path().join("checkpoint.safetensors"), checkpoint).expect("a file");
        // A run that is stopped again immediately has the best epoch as of that point.
        let early = go(&Options { resume: true, ..options(parts.path()) }, Some(0)).expect("the start of the rest");
        let best = Checkpoint::load(&parts.path().join("best.safetensors")).ok();
        let best =
            best.map(|file| Provenance::read(&file.metadata, "best").expect("a provenance").best.expect("a best"));
        assert_eq!((early.best, best.is_some()), (best, killed_at > 13), "{killed_at}");
        go(&Options { resume: true, ..options(parts.path()) }, None).expect("the rest");
        same_files(whole.path(), parts.path());
    }
}

#[test]
fn folds_are_disjoint_and_each_validates() {
    let (train, _) = Dataset::digits().split().expect("two parts");
    let key = Key::new(3).fold_in(u32::MAX);
    let mut seen = BTreeSet::new();
    for number in 0..4 {
        let (held, rest) = train.fold(number, 4, key).expect("a fold");
        assert_eq!(held.count() + rest.count(), 1437);
        let places: Vec<usize> = (0..held.count()).collect();
        let (images, labels) = held.gather(&places).expect("samples");
        assert_eq!(labels.to_vec::<i32>().expect("labels"), held.labels());
        let bytes = images.bytes().chunks(64).zip(held.labels()).map(|(image, label)| (image.to_vec(), *label));
        seen.extend(bytes);
    }
    let all: Vec<usize> = (0..1437).collect();
    let images = train.gather(&all).expect("samples").0;
    let whole: BTreeSet<_> = images.bytes().chunks(64).map(<[u8]>::to_vec).zip(train.labels().to_vec()).collect();
    assert_eq!(seen, whole);
    let mut accuracies = BTreeSet::new();
    for number in [1, 4] {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            validation: Validation::Fold { number, of: 4 },
            length: Length::Epochs(1),
            ..options(folder.path())
        };
        accuracies.insert(go(&options, None).expect("a run").validation_accuracy.expect("validation").to_bits());
    }
    assert_eq!(accuracies.len(), 2, "two folds with one accuracy");
}

#[test]
fn a_file_may_have_a_part_for_validation() {
    let digits = Dataset::digits();
    let labels = Array::new([1797], digits.labels()).expect("labels");
    let arrays = [("images".to_owned(), digits.inputs().samples().clone()), ("labels".to_owned(), labels)];
    let file = |train: &str, validation: &str| {
        let metadata = [("train".to_owned(), train.to_owned()), ("validation".to_owned(), validation.to_owned())];
        let file = ArrayFile { arrays: arrays.clone().into(), metadata: metadata.into() };
        Dataset::from_file(&file, "d.safetensors", None)
    };
    let data = file("1000", "437").expect("a data set");
    let (train, test) = data.split().expect("two parts");
    let own = data.own_validation().expect("a part for validation");
    assert_eq!((train.count(), own.count(), test.count()), (1000, 437, 360));
    assert_eq!(own.labels(), &digits.labels()[1000..1437]);
    assert_eq!(test.labels(), &digits.labels()[1437..]);
    let folder = tempfile::tempdir().expect("a folder");
    let of = |validation| Options {
        validation,
        train: train.clone(),
        test: test.clone(),
        length: Length::Epochs(1),
        ..options(folder.path())
    };
    let summary = go(&of(Validation::Own), None).expect("a run");
    assert!(summary.validation_accuracy.is_some_and(|accuracy| accuracy > 0.0));
    let refused = go(&Options { validation: Validation::Own, ..options(folder.path()) }, None).expect_err("no part");
    assert!(refused.to_string().contains("has no validation part"), "{refused}");
    for (train, validation) in [("1000", "797"), ("1000", "x"), ("1000", "-1")] {
        let error = file(train, validation).expect_err("no test samples").to_string();
        assert!(error.contains("the metadata entry `validation` is"), "{error}");
    }
}

#[test]
fn a_metric_of_which_less_is_better_chooses_the_smallest() {
    let folder = tempfile::tempdir().expect("a folder");
    let metric = || {
        Metric::new("errors", |outputs, labels| {
            let predicted = spiq::nn::integral_accuracy(&outputs.traces, labels).1.into_tensor();
            predicted.ne(labels.tensor()).convert(DType::F32)
        })
    };
    let summary = go(&Options { metric: metric().less_is_better(), ..options(folder.path()) }, None).expect("a run");
    let values: Vec<f32> = read_records(&folder.path().join("metrics.jsonl"))
        .expect("records")
        .into_iter()
        .filter_map(|record| match record {
            Record::Epoch { metric, test_accuracy: None, validation_accuracy: None, .. } => metric["validation_errors"],
            _ => None,
        })
        .collect();
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    assert_eq!(values.len(), 10);
    assert_eq!(summary.best.map(|best| best.validation_accuracy), Some(least));
    assert!(values[0] > least);
}

#[test]
fn validation_that_does_not_fit_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(Validation, Patience, &str); 6] = [
        (Validation::None, Patience::Epochs(2), "patience needs validation samples"),
        (Validation::Samples(1437), Patience::None, "1437 of the 1437 training samples"),
        (Validation::Share(1e-9), Patience::None, "0 of the 1437 training samples"),
        (
            Validation::Samples(1400),
            Patience::None,
            "the batch size is 97, but there are 37 samples; give --batch-size 37 or less",
        ),
        (Validation::Fold { number: 3, of: 2 }, Patience::None, "there is no fold 3 of 2; give one from 1 to 2"),
        (Validation::Fold { number: 1, of: 1 }, Patience::None, "the number of folds is 1"),
    ];
    for (validation, patience, expected) in cases {
        let out = folder.path().join("out");
        let error = go(&Options { validation, patience, ..options(&out) }, None).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!out.exists());
    }
}

#[test]
fn measuring_on_validation_changes_nothing_else() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    // The training samples are the same: the validation samples are drawn from the seed.
    let (train, _) = options(one.path())
        .train
        .held_out(144, Key::new(3).fold_in(u32::MAX))
        .map(|(held, rest)| (rest, held))
        .expect("parts");
    go(&options(one.path()), None).expect("a run");
    go(&Options { train, validation: Validation::None, ..options(other.path()) }, None).expect("a run");
    let arrays = |folder: &Path| Checkpoint::load(&folder.join("params.safetensors")).expect("parameters").arrays;
    assert_eq!(arrays(one.path()), arrays(other.path()));
}
