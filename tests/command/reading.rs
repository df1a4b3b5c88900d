//! Data sets from several files or speakers.

use std::path::{Path, PathBuf};

use spiq::data::{ArrayFile, Binning, Dataset, Reading};
use spiq::{Array, Error, ErrorKind};
use spiq_events::MadeUp;
use tempfile::TempDir;

/// Writes samples [N, 4, 3] whose elements are the sample's number, with the same numbers as labels.
fn write(folder: &TempDir, name: &str, samples: std::ops::Range<u8>, speakers: Option<(&[i32], &str)>) -> PathBuf {
    let values: Vec<u8> = samples.clone().flat_map(|sample| vec![sample; 12]).collect();
    let labels: Vec<i32> = samples.map(i32::from).collect();
    let mut file = ArrayFile::default();
    file.arrays.insert("inputs".into(), Array::new([labels.len(), 4, 3], values).unwrap());
    file.arrays.insert("labels".into(), Array::new([labels.len()], labels).unwrap());
    if let Some((of, names)) = speakers {
        file.arrays.insert("speakers".into(), Array::new([of.len()], of).unwrap());
        file.metadata.insert("speakers".into(), names.into());
    }
    let path = folder.path().join(name);
    file.write(&path).unwrap();
    path
}

fn read(path: &Path, reading: &Reading) -> Result<Dataset, Error> {
    Dataset::read(path, reading, None, &mut |_, _| {})
}

/// The labels of both parts; checks that each sample matches its label.
#[track_caller]
fn parts(data: &Dataset) -> [Vec<i32>; 2] {
    let (train, test) = data.split().unwrap();
    [train, test].map(|part| {
        let (samples, labels) = part.gather(&(0..part.count()).collect::<Vec<_>>()).unwrap();
        let labels = labels.to_vec::<i32>().unwrap();
        let wanted: Vec<u8> = labels.iter().flat_map(|label| vec![*label as u8; 12]).collect();
        assert_eq!(samples.to_vec::<u8>().unwrap(), wanted);
        labels
    })
}

#[track_caller]
fn refused(path: &Path, reading: &Reading) -> String {
    let error = read(path, reading).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    error.to_string()
}

#[test]
fn another_file_tests() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (write(&folder, "a.safetensors", 0..5, None), write(&folder, "b.safetensors", 5..7, None));
    let data = read(&first, &Reading { test_file: Some(second), ..Reading::default() }).unwrap();
    assert_eq!(parts(&data), [vec![0, 1, 2, 3, 4], vec![5, 6]]);
}

#[test]
fn a_speaker_tests() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "a.safetensors", 0..6, Some((&[0, 1, 2, 1, 0, 2], "ann, bob, eve")));
    let on = |name: &str| Reading { test_speaker: Some(name.into()), ..Reading::default() };
    assert_eq!(parts(&read(&path, &on("bob")).unwrap()), [vec![0, 2, 4, 5], vec![1, 3]]);
    let message = refused(&path, &on("joe"));
    assert!(message.ends_with("has no speaker `joe`; available: ann, bob, eve"), "{message}");

    let path = write(&folder, "b.safetensors", 0..2, Some((&[1, 1], "ann, bob")));
    for name in ["ann", "bob"] {
        assert!(refused(&path, &on(name)).contains("either none or all of the samples"));
    }
    let path = write(&folder, "c.safetensors", 0..2, None);
    assert!(refused(&path, &on("ann")).ends_with("does not name its speakers; leave --test-speaker out"));
}

#[test]
fn test_data_are_of_the_same_kind() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(&folder, "a.safetensors", 0..5, None);
    let mut file = ArrayFile::read(&first).unwrap();
    file.arrays.insert("inputs".into(), Array::new([5, 4, 2], vec![0u8; 40]).unwrap());
    let other = folder.path().join("b.safetensors");
    file.write(&other).unwrap();
    let message = refused(&first, &Reading { test_file: Some(other.clone()), ..Reading::default() });
    assert!(message.contains("is u8[5,4,3], but that of the test data"), "{message}");
    file.arrays.remove("inputs");
    file.write(&other).unwrap();
    assert!(refused(&first, &Reading { test_file: Some(other), ..Reading::default() }).contains("has `inputs`, but"));
}

#[test]
fn arrays_have_no_bins() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "a.safetensors", 0..5, None);
    let binning = Binning { channels: Some(2), ..Binning::default() };
    let message = refused(&path, &Reading { binning, ..Reading::default() });
    assert!(message.ends_with("holds arrays, not recordings of events; leave --channels out"), "{message}");
}

#[test]
fn three_files_train_validate_and_test() {
    let folder = tempfile::tempdir().unwrap();
    for (name, samples) in [("ssc_train.h5", 10), ("ssc_valid.h5", 4), ("ssc_test.h5", 3)] {
        let made = MadeUp { samples, events: 20, classes: 2, channels: 6, train: samples, first: 0, seed: 0 };
        made.write(&folder.path().join(name)).unwrap();
    }
    let data = read(folder.path(), &Reading::default()).unwrap();
    let (train, test) = data.split().unwrap();
    let validation = train.own_validation().expect("a part for validation");
    assert_eq!([train.count(), validation.count(), test.count()], [10, 4, 3]);
}
