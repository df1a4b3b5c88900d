//! Readers compared with what h5py, NumPy and tonic read from the same files.

use std::fs;
use std::path::Path;

use spiq_events::{Collection, Mended, Names, Sample, Sensor, Spikes, open, write_spikes};

use super::reference;

fn samples(path: &Path) -> Vec<Sample> {
    open(path).unwrap().map(|sample| sample.unwrap()).collect()
}

/// Number of events, and the sums of their times, channels and polarities.
fn sums(samples: &[Sample]) -> [i64; 4] {
    let sum = |of: fn(&Sample) -> i64| samples.iter().map(of).sum();
    [
        sum(|sample| sample.events.len() as i64),
        sum(|sample| sample.events.t.iter().sum()),
        sum(|sample| sample.events.x.iter().map(|x| i64::from(*x)).sum()),
        sum(|sample| sample.events.p.iter().map(|p| i64::from(*p)).sum()),
    ]
}

#[test]
fn hdf5_of_each_layout_and_type_is_read_as_h5py_reads_it() {
    // f16 in the oldest layout, f32 in the latest, f64 in chunks.
    let expected = [
        ("earliest.h5", [729, 357_160_904, 253_173, 729]),
        ("latest.h5", [729, 359_767_300, 259_025, 729]),
        ("chunked.h5", [729, 365_871_220, 256_865, 729]),
    ];
    for (name, expected) in expected {
        let read = samples(&reference(name));
        assert_eq!(sums(&read), expected, "{name}");
        assert_eq!(read.iter().map(|sample| sample.events.len()).collect::<Vec<_>>(), [0, 1, 20, 700, 3, 5]);
        assert_eq!(read.iter().filter_map(|sample| sample.label).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
        assert_eq!(read.iter().filter_map(|sample| sample.speaker).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
        let read = open(&reference(name)).unwrap();
        assert_eq!(read.description().classes, ["null", "eins", "zwei"]);
        assert_eq!((read.description().sensor, read.description().train), (Sensor::cochlea(700), None));
        // Speakers that have only numbers are named by them.
        assert_eq!(read.description().speakers, ["0", "1", "2"]);
    }
}

#[test]
fn events_without_a_time_are_left_out_and_those_out_of_order_sorted() {
    let read = samples(&reference("untidy.h5"));
    assert_eq!(
        (read[0].events.t.as_slice(), read[0].events.x.as_slice()),
        ([250_000, 500_000].as_slice(), [7, 5].as_slice())
    );
    assert_eq!(read[0].mended, Mended { without_time: 3, sorted: true });
    // Simultaneous events keep their order.
    assert_eq!((read[1].events.x.as_slice(), read[1].mended), ([2, 1].as_slice(), Mended::default()));
}

#[test]
fn arrays_of_numpy_are_read_in_each_form() {
    for name in ["rows.npy", "columns.npy", "fields.npy", "camera.npz"] {
        let mut read = open(&reference(name)).unwrap();
        assert_eq!(read.description().sensor, Sensor { width: 16, height: 12, polarities: 2 }, "{name}");
        let sample = read.next().unwrap().unwrap();
        assert_eq!(sums(&[sample]), [50, 24_064_180, 376, 26], "{name}");
    }
    let read = samples(&reference("cochlea.npz"));
    assert_eq!(sums(&read), [50, 24_064_395, 376, 50]);
}

#[test]
fn n_mnist_is_read_as_tonic_reads_it() {
    let mut read = open(&reference("sample_nmnist.bin")).unwrap();
    assert_eq!(read.description().sensor, Sensor { width: 34, height: 34, polarities: 2 });
    let sample = read.next().unwrap().unwrap();
    assert_eq!((sample.label, sample.events.t[0], sample.events.x[0], sample.events.y[0]), (None, 654, 7, 15));
    assert_eq!(sums(&[sample]), [4325, 690_487_405, 74_457, 2145]);
}

/// tonic adds 2^13 us to the events that follow one in row 240.
#[test]
fn the_clock_of_n_mnist_may_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    fs::write(&path, [[1, 2, 0x80, 0, 9], [0, 240, 0, 0, 0], [3, 4, 0, 0, 5]].concat()).unwrap();
    let read = samples(&path);
    assert_eq!(
        (read[0].events.t.as_slice(), read[0].events.p.as_slice()),
        ([9, 8197].as_slice(), [true, false].as_slice())
    );
}

#[test]
fn folders_are_classes_and_train_and_test_are_parts() {
    let folder = tempfile::tempdir().unwrap();
    for place in ["Train/0", "Train/2", "Train/10", "Test/2", "Test/0"] {
        fs::create_dir_all(folder.path().join(place)).unwrap();
        fs::copy(reference("sample_nmnist.bin"), folder.path().join(place).join("a.bin")).unwrap();
    }
    fs::write(folder.path().join("Train/2/b.bin"), b"").unwrap();
    fs::write(folder.path().join("Train/README.txt"), b"").unwrap();
    let mut read = open(folder.path()).unwrap();
    let description = read.description().clone();
    assert_eq!(description.classes, ["0", "2", "10"]);
    assert_eq!((description.count, description.train, description.format), (6, Some(4), "N-MNIST"));
    let read: Vec<Sample> = read.by_ref().map(|sample| sample.unwrap()).collect();
    assert_eq!(read.iter().filter_map(|sample| sample.label).collect::<Vec<_>>(), [0, 2, 1, 1, 0, 1]);
    // An empty file is a recording without events.
    assert_eq!(read.iter().map(|sample| sample.events.len()).collect::<Vec<_>>(), [4325, 4325, 4325, 0, 4325, 4325]);
    assert_eq!(samples(&folder.path().join("Test/0")).len(), 1);
}

#[test]
fn both_layouts_of_the_gestures_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (place, file) in [
        ("ibmGestureTrain/user02_led", "3.npy"),
        ("ibmGestureTrain/user01_lab", "10.npy"),
        ("ibmGestureTest/user03_led", "0.npy"),
    ] {
        fs::create_dir_all(folder.path().join(place)).unwrap();
        fs::copy(reference("rows.npy"), folder.path().join(place).join(file)).unwrap();
    }
    let read = open(folder.path()).unwrap();
    let description = read.description().clone();
    assert_eq!(
        (description.format, description.sensor),
        ("DVS Gesture", Sensor { width: 128, height: 128, polarities: 2 })
    );
    assert_eq!(
        (description.speakers.as_slice(), description.train),
        (["user01", "user02", "user03"].map(String::from).as_slice(), Some(2))
    );
    let read: Vec<Sample> = read.map(|sample| sample.unwrap()).collect();
    assert_eq!(
        read.iter().map(|sample| (sample.label, sample.speaker)).collect::<Vec<_>>(),
        [(Some(10), Some(0)), (Some(3), Some(1)), (Some(0), Some(2))]
    );
    // These arrays are in milliseconds.
    assert_eq!(sums(&read[..1]), [50, 24_064_180_000, 376, 26]);

    assert_eq!(sums(&samples(&reference("user01_led.aedat"))), [30, 62_287, 2526, 15]);
    let folder = tempfile::tempdir().unwrap();
    for name in ["user01_led.aedat", "user01_led_labels.csv"] {
        fs::copy(reference(name), folder.path().join(name)).unwrap();
    }
    let read = samples(folder.path());
    assert_eq!(read.iter().filter_map(|sample| sample.label).collect::<Vec<_>>(), [2, 10]);
    assert_eq!(read.iter().map(|sample| sample.events.len()).sum::<usize>(), 30);
    assert!(read.iter().all(|sample| sample.events.t.iter().all(|t| (0..2000).contains(t))));
    fs::write(folder.path().join("trials_to_train.txt"), "user09_led.aedat\n").unwrap();
    fs::write(folder.path().join("trials_to_test.txt"), "user01_led.aedat\n").unwrap();
    assert_eq!(open(folder.path()).unwrap().description().train, Some(0));
}

#[test]
fn a_training_and_a_test_file_are_one_collection() {
    let folder = tempfile::tempdir().unwrap();
    let names = Names { channels: 700, classes: vec!["a".into(), "b".into()], ..Names::default() };
    let write = |name: &str, labels: &[u16]| {
        let spikes =
            labels.iter().map(|label| Ok(Spikes { times: vec![0.5], units: vec![*label], label: *label, speaker: 0 }));
        write_spikes(&folder.path().join(name), &names, spikes).unwrap();
    };
    write("ssc_test.h5", &[1]);
    write("ssc_valid.h5", &[0, 0]);
    write("ssc_train.h5", &[1, 0, 1]);
    let mut read = open(folder.path()).unwrap();
    let description = read.description();
    assert_eq!((description.count, description.train, description.validation), (6, Some(3), 2));
    let labels =
        |read: &mut Box<dyn Collection>| read.by_ref().map(|sample| sample.unwrap().label.unwrap()).collect::<Vec<_>>();
    assert_eq!(labels(&mut read), [1, 0, 1, 0, 0, 1]);
    read.restart().unwrap();
    assert_eq!(labels(&mut read), [1, 0, 1, 0, 0, 1]);
}

/// The bytes that were checked with h5py, which reads the data written here (`recordings.py`, `written`).
#[test]
fn the_layout_that_is_written_is_the_one_that_h5py_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.h5");
    let names = Names {
        channels: 40,
        classes: vec!["null".into(), "fünf".into()],
        speakers: vec!["ann".into()],
        train: Some(2),
    };
    let spikes = |count: u16, label| {
        let times = (0..count).map(|spike| f32::from(spike) / 1024.0).collect();
        Ok(Spikes { times, units: (0..count).map(|spike| spike % 40).collect(), label, speaker: 0 })
    };
    // Heaps with several samples, with one, and with the rest.
    write_spikes(&path, &names, [spikes(3, 0), spikes(0, 1), spikes(1000, 1), spikes(2, 0)]).unwrap();
    assert!(
        fs::read(&path).unwrap() == fs::read(reference("written.h5")).unwrap(),
        "the written bytes changed: check them with h5py"
    );
    let read = samples(&path);
    assert_eq!(read.iter().map(|sample| sample.events.len()).collect::<Vec<_>>(), [3, 0, 1000, 2]);
    assert_eq!((read[2].events.t[999], read[2].events.x[999]), (975_586, 39));
    let read = open(&path).unwrap();
    assert_eq!((read.description().classes.as_slice(), read.description().train), (names.classes.as_slice(), Some(2)));
    assert_eq!(
        (read.description().speakers.as_slice(), read.description().sensor),
        (names.speakers.as_slice(), Sensor::cochlea(40))
    );
}
