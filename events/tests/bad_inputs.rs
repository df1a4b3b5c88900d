//! The exact message of each reader for each bad input, one sentence.

use std::fs;
use std::path::Path;

use rust_hdf5::{H5File, H5Type};
use spiq_events::{Binning, Error, Names, Packed, Pipeline, Spikes, open, pack, write_spikes};

use super::{aedat4, reference};

/// Reads everything at a path and returns the message, with the path replaced by `PATH`.
fn said(path: &Path) -> String {
    let read = || open(path)?.try_for_each(|sample| sample.map(drop));
    match read() {
        Ok(()) => "it was read".into(),
        Err(error) => error.to_string().replace(&path.display().to_string(), "PATH"),
    }
}

fn said_of(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    said(&path)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(reference(name)).unwrap()
}

/// The message for an SHD file of two samples with these columns.
fn said_of_shd<T: H5Type, U: H5Type, L: H5Type>(times: [&[T]; 2], units: &[&[U]], labels: &[L]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let file = H5File::create(&path).unwrap();
    let spikes = file.root_group().create_group("spikes").unwrap();
    spikes.write_vlen_numeric("times", &times).unwrap();
    spikes.write_vlen_numeric("units", units).unwrap();
    file.new_dataset::<L>().shape([labels.len()]).create("labels").unwrap().write_raw(labels).unwrap();
    file.root_group().create_group("extra").unwrap().write_vlen_strings("keys", &["a", "b"]).unwrap();
    file.close().unwrap();
    said(&path)
}

#[test]
fn hdf5() {
    let whole = bytes("earliest.h5");
    let two: [&[f32]; 2] = [&[0.5, 0.6], &[0.7]];
    let units: [&[u16]; 2] = [&[1, 2], &[3]];
    let table = [
        ("as it should be", said_of_shd(two, &units, &[0u16, 1]), "it was read"),
        (
            "cut in half",
            said_of("a.h5", &whole[..whole.len() / 2]),
            "PATH is cut off: according to its header it has 9076 bytes, but the file has 4538; download it again",
        ),
        (
            "something else",
            said_of("a.h5", b"<html>not found</html>"),
            "PATH is not an HDF5 file (its first bytes differ); is the download complete and unpacked?",
        ),
        (
            "integer times",
            said_of_shd::<i32, u16, u16>([&[1], &[2]], &units, &[0, 1]),
            "PATH cannot be read as SHD: `spikes/times` holds i32, but must hold f16, f32 or f64 (little-endian), in seconds",
        ),
        (
            "float units",
            said_of_shd::<f32, f32, u16>(two, &[&[1.0, 2.0], &[3.0]], &[0, 1]),
            "PATH cannot be read as SHD: `spikes/units` holds f32, but must hold u16; write it with dtype 'u2'",
        ),
        (
            "float labels",
            said_of_shd(two, &units, &[0.0f32, 1.0]),
            "PATH cannot be read as SHD: `labels` holds f32, but must hold integers",
        ),
        (
            "fewer units than times",
            said_of_shd::<f32, u16, u16>(two, &[&[1, 2], &[]], &[0, 1]),
            "sample 1 of PATH cannot be read: it has 1 times and 0 units",
        ),
        (
            "samples without units",
            said_of_shd::<f32, u16, u16>(two, &[&[1, 2]], &[0, 1]),
            "PATH cannot be read as SHD: it has times of 2 samples and units of 1",
        ),
        (
            "a label too few",
            said_of_shd(two, &units, &[0u16]),
            "PATH cannot be read as SHD: `labels` has 1 elements for 2 samples",
        ),
        (
            "a label beyond the classes",
            said_of_shd(two, &units, &[0u16, 2]),
            "sample 1 of PATH cannot be read: its label is 2, but there are 2 classes",
        ),
        (
            "a channel out of range",
            said_of_shd::<f32, u16, u16>(two, &[&[1, 700], &[3]], &[0, 1]),
            "sample 0 of PATH cannot be read: it has a spike in channel 700, but there are 700 channels (0 to 699); \
             if there are more, set in h5py f.attrs['channels'] = '701'",
        ),
        ("integers of four bytes", said_of_shd::<f32, i32, u16>(two, &[&[1, 699], &[3]], &[0, 1]), "it was read"),
        (
            "a channel below 0",
            said_of_shd::<f32, i64, u16>(two, &[&[1, -2], &[3]], &[0, 1]),
            "sample 0 of PATH cannot be read: it has a spike in channel -2, but there are 700 channels (0 to 699)",
        ),
        ("empty samples", said_of_shd::<f32, u16, u16>([&[], &[]], &[&[], &[]], &[0, 1]), "it was read"),
    ];
    check(&table);
}

/// As h5py writes `f.attrs['channels'] = 1000`, although a text is required.
/// A new SHD file with one sample of one spike.
fn one_spike(path: &Path) -> H5File {
    let file = H5File::create(path).unwrap();
    let spikes = file.root_group().create_group("spikes").unwrap();
    spikes.write_vlen_numeric::<f32>("times", &[&[0.5]]).unwrap();
    spikes.write_vlen_numeric::<u16>("units", &[&[1]]).unwrap();
    file
}

#[test]
fn a_number_as_an_attribute() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let file = one_spike(&path);
    file.set_attr_numeric("channels", &1000i64).unwrap();
    file.close().unwrap();
    let expected = "PATH cannot be read as SHD: the attribute `channels` must be a text with a number from 1 to 65535; \
                    write it in h5py as f.attrs['channels'] = '1000'";
    check(&[("a number", said(&path), expected)]);
}

/// `rust-hdf5` would allocate what the file claims.
#[test]
fn more_labels_than_the_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let file = one_spike(&path);
    let labels = file.new_dataset::<u16>().shape([1]).resizable().chunk(&[1024]).create("labels").unwrap();
    labels.extend(&[1 << 33]).unwrap();
    file.close().unwrap();
    let length = fs::metadata(&path).unwrap().len();
    let expected = format!(
        "PATH cannot be read as SHD: `labels` claims 8589934592 elements, more than a file of {length} bytes holds \
         (the most is {} bytes); it is damaged",
        length * 1032
    );
    check(&[("labels", said(&path), &expected)]);
}

#[test]
fn hdf5_of_another_layout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let file = H5File::create(&path).unwrap();
    file.new_dataset::<f32>().shape([1]).create("weights").unwrap().write_raw(&[1.0f32]).unwrap();
    file.close().unwrap();
    let expected = "PATH cannot be read as SHD: it has no data set `spikes/times`";
    check(&[("no spikes", said(&path), expected)]);
}

#[test]
fn n_mnist() {
    let table = [
        (
            "cut off",
            said_of("a.bin", &bytes("sample_nmnist.bin")[..12]),
            "PATH cannot be read as N-MNIST: it has 12 bytes, but an event has 5 (is it cut off?)",
        ),
        (
            "outside of the sensor",
            said_of("a.bin", &[33, 33, 0, 0, 1, 34, 0, 0, 0, 2]),
            "PATH cannot be read as N-MNIST: event 1 is at x = 34, y = 0, but the sensor has 34 columns and 34 rows",
        ),
        ("times out of order", said_of("a.bin", &[0, 0, 0, 0, 2, 0, 0, 0, 0, 1]), "it was read"),
        ("empty", said_of("a.bin", &[]), "it was read"),
    ];
    check(&table);
}

/// A `.npy` file.
fn array(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00".as_slice(), &(head.len() as u16).to_le_bytes(), head.as_bytes(), bytes].concat()
}

#[test]
fn numpy() {
    let rows = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (whole, archive) = (bytes("rows.npy"), bytes("camera.npz"));
    let table = [
        (
            "cut off",
            said_of("a.npy", &whole[..whole.len() - 1]),
            "PATH cannot be read as NumPy: it should have 1600 bytes of numbers, but has 1599 (is it cut off?)",
        ),
        (
            "a cut archive",
            said_of("a.npz", &archive[..archive.len() / 2]),
            "PATH cannot be read as NumPy: it is not a complete zip file (is it cut off?)",
        ),
        (
            "no array",
            said_of("a.npy", b"1, 2, 3"),
            "PATH cannot be read as NumPy: it is neither an array nor a zip file of arrays",
        ),
        (
            "complex numbers",
            said_of("a.npy", &array("'<c8'", "(1, 2)", &[0; 16])),
            "PATH cannot be read as NumPy: it holds `<c8`, but must hold numbers",
        ),
        (
            "objects",
            said_of("a.npy", &array("'|O'", "(1,)", &[0; 8])),
            "PATH cannot be read as NumPy: it holds `|O`, but must hold numbers",
        ),
        (
            "three columns",
            said_of("a.npy", &array("'<f4'", "(1, 3)", &[0; 12])),
            "PATH cannot be read as NumPy: its array has the shape [1, 3], but must have a row for each event, with columns \
             (x, y, p, t) or (t, unit)",
        ),
        (
            "other names",
            said_of("a.npy", &array("[('a', '<f4'), ('b', '<f4')]", "(1,)", &[0; 8])),
            "PATH cannot be read as NumPy: its columns are not (x, y, p, t) or (t, unit)",
        ),
        (
            "a channel below 0",
            said_of("a.npy", &array("'<f4'", "(2, 2)", &rows(&[0.0, 1.0, 0.5, -1.0]))),
            "PATH cannot be read as NumPy: event 1 has x = -1, which is not a whole number from 0 to 65535",
        ),
        (
            "half a channel",
            said_of("a.npy", &array("'<f4'", "(1, 2)", &rows(&[0.0, 1.5]))),
            "PATH cannot be read as NumPy: event 0 has x = 1.5, which is not a whole number from 0 to 65535",
        ),
        (
            "a shape beyond memory",
            said_of("a.npy", &array("'<f4'", "(4611686018427387904, 4)", &[])),
            "PATH cannot be read as NumPy: its array is too large for memory",
        ),
        (
            "a shape beyond the file",
            said_of("a.npy", &array("'<f4'", "(1000000000000, 2)", &rows(&[0.0, 1.0]))),
            "PATH cannot be read as NumPy: it should have 8000000000000 bytes of numbers, but has 8 (is it cut off?)",
        ),
        (
            "times out of order",
            said_of("a.npy", &array("'<f4'", "(2, 2)", &rows(&[1.0, 1.0, 0.5, 1.0]))),
            "it was read",
        ),
        ("no events", said_of("a.npy", &array("'<f4'", "(0, 2)", &[])), "it was read"),
    ];
    check(&table);
}

#[test]
fn aedat() {
    let whole = bytes("user01_led.aedat");
    let other = [b"#!AER-DAT2.0\r\n".as_slice(), &whole].concat();
    let mut outside = whole.clone();
    let first = outside.len() - 80 - 36 - 28 - 160;
    outside[first..first + 4].copy_from_slice(&(128u32 << 17 | 1).to_le_bytes());
    let events = [(0, 0, 0, true), (1, 9, 3, false)];
    let four = aedat4::file(0, [10, 4], &events);
    let table = [
        (
            "cut off",
            said_of("a.aedat", &whole[..whole.len() - 1]),
            "PATH cannot be read as AEDAT 3.1: a packet of 10 events is cut off",
        ),
        (
            "another version",
            said_of("a.aedat", &other),
            "PATH cannot be read as AEDAT 3.1: its first line is \"#!AER-DAT2.0\", but must be `#!AER-DAT3.1` or `#!AER-DAT4.0`",
        ),
        (
            "something else",
            said_of("a.aedat", b"events"),
            "PATH cannot be read as AEDAT 3.1: it does not begin with `#!AER-DAT3.1` or `#!AER-DAT4.0`",
        ),
        (
            "outside of the sensor",
            said_of("a.aedat", &outside),
            "PATH cannot be read as AEDAT 3.1: event 0 is at x = 128, y = 0, but the sensor has 128 columns and 128 rows",
        ),
        (
            "4, cut off",
            said_of("a.aedat4", &four[..four.len() - 30]),
            "PATH cannot be read as AEDAT 4: its packets end past the end of the file (is it cut off?)",
        ),
        (
            "4, its head cut off",
            said_of("a.aedat4", &four[..50]),
            "PATH cannot be read as AEDAT 4: its header is cut off",
        ),
        (
            "4, outside of the sensor",
            said_of("a.aedat4", &aedat4::file(1, [9, 4], &events)),
            "PATH cannot be read as AEDAT 4: event 1 is at x = 9, y = 3, but the sensor has 9 columns and 4 rows",
        ),
        (
            "4, on no sensor",
            said_of("a.aedat4", &aedat4::file(0, [9, 4], &[(0, -1, 3, true)])),
            "PATH cannot be read as AEDAT 4: an event is at x = -1, y = 3, which is outside any sensor",
        ),
        ("4, without events", said_of("a.aedat4", &aedat4::file(3, [9, 4], &[])), "it was read"),
    ];
    check(&table);
}

#[test]
fn folders_and_paths() {
    let formats =
        "HDF5 in the layout of SHD (.h5), N-MNIST (.bin), NumPy (.npy, .npz), AEDAT 3.1 and 4 (.aedat, .aedat4)";
    let folder = tempfile::tempdir().unwrap();
    let other = |size: [u16; 2], name: &str| fs::write(folder.path().join(name), aedat4::file(0, size, &[])).unwrap();
    let empty = said(folder.path());
    fs::copy(reference("user01_led.aedat"), folder.path().join("user01_led.aedat")).unwrap();
    fs::write(folder.path().join("user01_led_labels.csv"), "class,startTime_usec,endTime_usec\n12,1,2\n").unwrap();
    let line = said(folder.path()).replace("PATH/", "");
    fs::remove_file(folder.path().join("user01_led_labels.csv")).unwrap();
    fs::remove_file(folder.path().join("user01_led.aedat")).unwrap();
    other([9, 4], "a.aedat4");
    other([9, 5], "b.aedat4");
    let sensors = said(folder.path()).replace("PATH/", "");
    let table = [
        ("an empty folder", empty, format!("the folder PATH has no recordings in a supported format: {formats}")),
        (
            "a class that is not there",
            line,
            "line 2 of user01_led_labels.csv is \"12,1,2\", but must be class (1 to 11), begin and end (microseconds)".into(),
        ),
        (
            "two sensors",
            sensors,
            "b.aedat4 has a sensor of 9 x 5, but the earlier files have one of 9 x 4; keep them in different folders".into(),
        ),
        ("another format", said_of("a.txt", b"1 2 3"), format!("PATH is in none of the supported formats: {formats}")),
        (
            "a file that is not there",
            said(Path::new("nowhere/a.h5")),
            "cannot read PATH: No such file or directory (os error 2)".into(),
        ),
        (
            "a data set that is not there",
            said(Path::new("shd")),
            "the data set PATH is not at PATH: `spiq data fetch PATH` downloads it, or place these files there: PATH_train.h5 \
             (from https://zenkelab.org/datasets/PATH_train.h5.zip, md5 f3252aeb598ac776c1b526422d90eecb), PATH_test.h5 \
             (from https://zenkelab.org/datasets/PATH_test.h5.zip, md5 1503a5064faa34311c398fb0a1ed0a6f)"
                .into(),
        ),
    ];
    check(&table);
}

#[test]
fn folders_of_hdf5() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("a");
    fs::create_dir(&class).unwrap();
    fs::copy(reference("sample_nmnist.bin"), class.join("1.bin")).unwrap();
    fs::write(folder.path().join("beside.h5"), "").unwrap();
    let beside = said(folder.path());
    fs::write(class.join("2.h5"), "").unwrap();
    let reason =
        "holds HDF5 files that are not parts of one data set (…train.h5, …valid.h5, …test.h5); name one of them";
    fs::write(class.join("3.hdf5"), "").unwrap();
    let within = said(folder.path());
    fs::remove_file(class.join("1.bin")).unwrap();
    let table = [
        ("beside folders of classes", beside, "it was read".to_owned()),
        ("among recordings of a class", within, format!("the folder PATH {reason}: PATH/a/2.h5")),
        ("alone", said(&class), format!("the folder PATH {reason}: PATH/2.h5")),
    ];
    check(&table);
}

#[test]
fn a_data_set_without_samples_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    write_spikes(&path, &Names { channels: 3, ..Names::default() }, []).unwrap();
    let binning = Binning { bins: Some(2), ..Binning::default() };
    let refused = pack(open(&path).unwrap(), &Pipeline::default(), &binning, &mut |_, _| ()).unwrap_err();
    assert_eq!(refused.to_string(), "the data set has no samples");
}

/// A million events of one channel in one bin: 255 are counted, the excess is reported as lost.
#[test]
fn a_million_events_in_one_bin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let names = Names { channels: 3, ..Names::default() };
    let spikes = Spikes { times: vec![0.25; 1_000_000], units: vec![1; 1_000_000], ..Spikes::default() };
    write_spikes(&path, &names, [Ok(spikes)]).unwrap();
    let binning = Binning { bins: Some(2), dt: Some(0.2), ..Binning::default() };
    let pack =
        |binning| -> Packed { pack(open(&path).unwrap(), &Pipeline::default(), &binning, &mut |_, _| ()).unwrap() };
    let packed = pack(binning.clone());
    assert_eq!((&*packed.frames, packed.dropped.saturated), ([0, 0, 0, 0, 255, 0].as_slice(), 999_745));
    let packed = pack(Binning { presence: true, ..binning });
    assert_eq!((&*packed.frames, packed.dropped.saturated), ([0, 0, 0, 0, 1, 0].as_slice(), 0));
}

#[test]
fn what_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let names = Names { channels: 3, classes: vec!["a".into()], speakers: vec!["b".into()], train: None };
    let said = |spikes| write_spikes(&path, &names, [spikes]).unwrap_err().to_string();
    let spikes = |units: &[u16], label, speaker| Ok(Spikes { times: vec![0.5], units: units.to_vec(), label, speaker });
    let table = [
        ("units", said(spikes(&[], 0, 0)), "sample 0 cannot be written: it has 1 times and 0 units"),
        (
            "unit",
            said(spikes(&[3], 0, 0)),
            "sample 0 cannot be written: it has a spike of unit 3, but there are 3 channels",
        ),
        ("label", said(spikes(&[2], 1, 0)), "sample 0 cannot be written: its label is 1, but there are 1 classes"),
        ("speaker", said(spikes(&[2], 0, 1)), "sample 0 cannot be written: its speaker is 1, but there are 1"),
        ("of another", said(Err(Error::input("the microphone is off"))), "the microphone is off"),
    ];
    check(&table);
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left behind");
    let missing = write_spikes(Path::new("nodir/a.h5"), &names, []).unwrap_err().to_string();
    assert_eq!(missing, "cannot write nodir/a.h5: there is no folder nodir; make it first");
}

fn check<T: AsRef<str>>(table: &[(&str, String, T)]) {
    let wrong = table.iter().filter(|(_, said, expected)| said != expected.as_ref());
    let wrong: Vec<String> =
        wrong.map(|(input, said, expected)| format!("{input}:\n  {said}\n  {}", expected.as_ref())).collect();
    assert!(wrong.is_empty(), "said, and expected:\n{}", wrong.join("\n"));
}
