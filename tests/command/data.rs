//! Data sets and array files: what is accepted, and what is refused with one clear sentence.

use proptest::prelude::*;
use spiq::data::{ArrayFile, Coding, Dataset, Encoder, Inputs};
use spiq::random::Key;
use spiq::{Array, DType, Element, ErrorKind, TensorType};

fn file(arrays: &[(&str, Array)]) -> ArrayFile {
    let arrays = arrays.iter().map(|(name, array)| ((*name).to_owned(), array.clone())).collect();
    ArrayFile { arrays, ..ArrayFile::default() }
}

fn filled<T: Element>(dims: &[usize], value: T) -> Array {
    Array::new(dims, vec![value; dims.iter().product()]).unwrap()
}

/// The message that refuses a data set with these arrays.
#[track_caller]
fn refused(arrays: &[(&str, Array)], classes: Option<usize>) -> String {
    let error = Dataset::from_file(&file(arrays), "d.safetensors", classes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    error.to_string()
}

#[track_caller]
fn unreadable(bytes: &[u8]) -> String {
    let error = ArrayFile::parse(bytes, "d.safetensors").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

/// A file with this header and this many data bytes.
fn raw(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn digits_are_all_there() {
    let digits = Dataset::digits();
    let (train, test) = digits.split().unwrap();
    assert_eq!(digits.inputs().samples().ty().to_string(), "u8[1797,64]");
    assert_eq!(digits.inputs().encoder(), Some(Encoder::DIGITS));
    assert_eq!(digits.inputs().features(), [64]);
    assert_eq!((train.count(), test.count(), digits.classes()), (1437, 360, 10));
    assert_eq!(train.labels()[..5], [0, 1, 2, 3, 4]);
    assert_eq!([train.labels(), test.labels()].concat(), digits.labels());
    assert!(train.split().is_err());
}

#[test]
fn digits_are_known_again_in_a_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.safetensors");
    assert_eq!(Dataset::load(path.as_ref(), Some(10)).unwrap(), Dataset::digits());
}

#[test]
fn a_file_says_how_many_samples_train() {
    let mut samples = file(&[("inputs", filled(&[10, 5, 3], 1u8)), ("labels", filled(&[10], 2u16))]);
    let (train, test) = Dataset::from_file(&samples, "d", None).unwrap().split().unwrap();
    assert_eq!((train.count(), test.count()), (10, 10), "no test part: all samples train, all test");
    samples.metadata.insert("train".into(), "7".into());
    let whole = Dataset::from_file(&samples, "d", None).unwrap();
    let (train, test) = whole.split().unwrap();
    assert_eq!((train.count(), test.count(), whole.has_test_part()), (7, 3, true));
    for wrong in ["0", "10", "-1", "x"] {
        samples.metadata.insert("train".into(), wrong.into());
        let message = Dataset::from_file(&samples, "d", None).unwrap_err().to_string();
        assert_eq!(message, format!("d: the metadata entry `train` is {wrong:?}, but must be a number from 1 to 9"));
    }
}

#[test]
fn spike_trains_have_steps_and_images_do_not() {
    let spikes = file(&[("inputs", filled(&[10, 5, 3], 1u8)), ("labels", filled(&[10], 2u16))]);
    let data = Dataset::from_file(&spikes, "d", None).unwrap();
    assert_eq!((data.inputs().steps(), data.classes()), (Some(5), 3));

    let mut images = file(&[("images", filled(&[10, 4, 4], 7u8))]);
    assert_eq!(Inputs::from_file(&images, "d").unwrap().encoder(), Some(Encoder::BYTES));
    images.metadata.insert("max".into(), "7".into());
    let inputs = Inputs::from_file(&images, "d").unwrap();
    assert_eq!((inputs.encoder(), inputs.steps(), inputs.features()), (Some(Encoder::rate(7.0)), None, &[4, 4][..]));
    images.metadata.insert("max".into(), "NaN".into());
    assert!(Inputs::from_file(&images, "d").is_err());
}

#[test]
fn labels_may_be_any_integers() {
    for dtype in DType::ALL.iter().filter(|dtype| dtype.is_integer()) {
        let labels = Array::from_f64(TensorType::new(*dtype, [3]), &[0.0, 1.0, 0.0]).unwrap();
        let bytes = file(&[("images", filled(&[3, 2], 0u8)), ("labels", labels)]).to_bytes();
        let data = Dataset::from_file(&ArrayFile::parse(&bytes, "d").unwrap(), "d", Some(2)).unwrap();
        assert_eq!(data.labels(), [0, 1, 0], "{dtype}");
    }
}

#[test]
fn wrong_tensors_are_refused() {
    let images = ("images", filled(&[4, 2], 0u8));
    let labels = ("labels", filled(&[4], 0i64));
    let check = |arrays: &[(&str, Array)], message: &str| assert_eq!(refused(arrays, Some(3)), message);
    check(&[], "d.safetensors has no tensor `inputs` or `images`; it holds no tensor");
    check(std::slice::from_ref(&images), "d.safetensors has no tensor `labels`; it holds `images`");
    check(
        &[images.clone(), ("inputs", filled(&[4, 1, 1], 0u8))],
        "d.safetensors has both `inputs` and `images`; keep one of them",
    );
    check(
        &[("images", filled(&[4, 2], -1f32)), labels.clone()],
        "d.safetensors: `images` is f32[4,2] and holds -1, but f32 images must lie between 0 and 1; scale them, or store them as u8",
    );
    check(
        &[("inputs", filled(&[2, 4, 3], 0u8)), labels.clone()],
        "d.safetensors: `inputs` is u8[2,4,3], and there are 4 labels: it looks like [T, N, …]; store the samples first, as with \
         numpy.swapaxes(inputs, 0, 1)",
    );
    check(
        &[("inputs", filled(&[4, 2], 0u8)), labels.clone()],
        "d.safetensors: `inputs` is u8[4,2], but must have the axes [N, T, …]",
    );
    check(
        &[("images", filled(&[0, 2], 0u8)), labels],
        "d.safetensors: `images` is u8[0,2], which is empty: every axis needs an element",
    );
    let mut spikes = vec![0f32; 8];
    spikes[5] = f32::NAN;
    check(&[("inputs", Array::new([4, 2, 1], spikes).unwrap())], "d.safetensors: `inputs` holds NaN in sample 2");
}

#[test]
fn wrong_labels_are_refused() {
    let check = |labels: Array, message: &str| {
        let arrays = [("images", filled(&[3, 2], 0u8)), ("labels", labels)];
        assert_eq!(refused(&arrays, Some(10)), format!("d.safetensors: `labels` {message}"));
    };
    check(filled(&[3], f32::NAN), "holds NaN at 0, but must hold the number of a class");
    check(filled(&[3], 0.5f32), "holds 0.5 at 0, but must hold the number of a class");
    check(filled(&[4], 0u8), "is u8[4], but the 3 samples need the shape [3]");
    check(filled(&[1, 3], 0u8), "is u8[1,3], but the 3 samples need the shape [3]");
    check(
        Array::new([3], [0i32, -1, 0]).unwrap(),
        "holds -1 at 1, but must lie between 0 and 9; correct it, or take a model of more classes",
    );
    check(
        Array::new([3], [0u8, 0, 10]).unwrap(),
        "holds 10 at 2, but must lie between 0 and 9; correct it, or take a model of more classes",
    );
    check(
        filled(&[3], u64::MAX),
        "holds 18446744073709552000 at 0, but must lie between 0 and 9; correct it, or take a model of more classes",
    );
}

/// The same three samples in a type.
fn of_type(ty: TensorType, values: &[f64]) -> Array {
    Array::from_f64(ty, values).unwrap()
}

#[test]
fn arrays_of_every_type_are_the_same_samples() {
    let spikes: Vec<f64> = (0..18).map(|n| f64::from(n % 2)).collect();
    let counts: Vec<f64> = (0..18).map(f64::from).collect();
    let halves: Vec<f64> = counts.iter().map(|n| n / 2.0).collect();
    let classes = [2.0, 0.0, 1.0];
    let read = |inputs: Array, labels: Array| {
        let file = file(&[("inputs", inputs), ("labels", labels)]);
        Dataset::from_file(&file, "d", None).unwrap()
    };
    let labels = |dtype: DType| of_type(TensorType::new(dtype, [3]), &classes);
    let inputs = |dtype: DType, values: &[f64]| of_type(TensorType::new(dtype, [3, 2, 3]), values);
    let expected = read(inputs(DType::U8, &spikes), labels(DType::S32));
    for dtype in [DType::Pred, DType::S8, DType::S16, DType::S64, DType::U32] {
        assert_eq!(read(inputs(dtype, &spikes), labels(DType::S64)), expected, "{dtype}");
    }
    let expected = read(inputs(DType::U8, &counts), labels(DType::U8));
    assert_eq!(read(inputs(DType::S64, &counts), labels(DType::F32)), expected);
    let expected = read(inputs(DType::F32, &halves), labels(DType::S32));
    for dtype in [DType::F16, DType::BF16, DType::F64] {
        assert_eq!(read(inputs(dtype, &halves), labels(DType::F16)), expected, "{dtype}");
    }
    // Negative integers are numbers.
    let negative: Vec<f64> = counts.iter().map(|n| n - 4.0).collect();
    let expected = read(inputs(DType::F32, &negative), labels(DType::S32));
    assert_eq!(read(inputs(DType::S8, &negative), of_type(TensorType::new(DType::S8, [3, 1]), &classes)), expected);
    let images = |array: Array| {
        Dataset::from_file(&file(&[("images", array), ("labels", labels(DType::S32))]), "d", None).unwrap()
    };
    let bytes: Vec<f64> = (0..6).map(|n| f64::from(n) * 51.0).collect();
    let unit: Vec<f64> = bytes.iter().map(|n| n / 255.0).collect();
    let pixels = |dtype: DType, values: &[f64]| images(of_type(TensorType::new(dtype, [3, 2]), values));
    for dtype in [DType::F32, DType::F64] {
        assert_eq!(pixels(dtype, &unit), pixels(DType::U8, &bytes), "{dtype}");
    }
    assert_eq!(pixels(DType::S64, &bytes), pixels(DType::U8, &bytes));
}

#[test]
fn archives_of_numpy_are_data_sets() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/arrays.npz");
    let data = Dataset::load(path.as_ref(), None).unwrap();
    let spikes: Vec<u8> = (0..60).map(|n| n % 2).collect();
    assert_eq!(data.inputs().samples(), &Array::new([4, 3, 5], spikes).unwrap());
    assert_eq!((data.labels(), data.classes()), (&[0, 2, 1, 2][..], 3));
    let (train, test) = data.split().unwrap();
    assert_eq!((train.count(), test.count()), (3, 1));
    // Damaged archives are refused.
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.npz");
    let bytes = std::fs::read(path).unwrap();
    for length in [10, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        assert_eq!(Dataset::load(&cut, None).unwrap_err().kind(), ErrorKind::Input, "{length}");
    }
}

#[test]
fn training_batches_are_spyx_batches() {
    let (train, _) = Dataset::digits().split().unwrap();
    let order = train.training_order(64, Some(Key::new(3))).unwrap();
    assert_eq!(order, Key::new(3).permutation(1437)[..22 * 64]);
    for places in order.chunks(64) {
        let (images, labels) = train.gather(places).unwrap();
        let wanted: Vec<i32> = places.iter().map(|place| train.labels()[*place]).collect();
        assert_eq!(labels.to_vec::<i32>().unwrap(), wanted);
        assert_eq!(images.dims(), [64, 64]);
        let row = &train.inputs().samples().bytes()[places[1] * 64..][..64];
        assert_eq!(&images.bytes()[64..128], row);
    }
}

#[test]
fn places_are_those_of_a_part() {
    let (_, test) = Dataset::digits().split().unwrap();
    let (images, labels) = test.gather(&[0, 359, 0]).unwrap();
    assert_eq!(images.bytes()[..64], test.inputs().samples().bytes()[1437 * 64..][..64]);
    assert_eq!(labels.to_vec::<i32>().unwrap(), [0, 359, 0].map(|place| test.labels()[place]));
    assert_eq!(test.gather(&[5, 360]).unwrap_err().to_string(), "there is no sample 360; there are 360");
}

#[test]
fn impossible_batches_are_refused() {
    let (_, test) = Dataset::digits().split().unwrap();
    let message = test.training_order(361, None).unwrap_err().to_string();
    assert_eq!(message, "the batch size is 361, but there are 360 samples; give --batch-size 360 or less");
    assert!(test.training_order(0, None).is_err());
    assert!(test.inputs().gather(&[1797]).is_err());
}

#[test]
fn damaged_files_are_refused() {
    let tensor = |offsets: &str| format!(r#"{{"dtype":"U8","shape":[2],"data_offsets":{offsets}}}"#);
    let pair = |a: &str, b: &str| format!(r#"{{"a":{},"b":{}}}"#, tensor(a), tensor(b));
    assert!(ArrayFile::parse(&raw(&pair("[0,2]", "[2,4]"), 4), "d").is_ok());
    for (bytes, reason) in [
        (vec![], "it has fewer than the 8 bytes of a header's length"),
        (vec![0xff; 16], "its header should have 18446744073709551615 bytes, but 8 follow"),
        (raw("not JSON", 0), "its header: expected ident at line 1 column 2"),
        (raw(&pair("[0,2]", "[1,3]"), 4), "invalid offset for tensor `b`"),
        (raw(&pair("[0,2]", "[2,4]"), 3), "tensor `b` does not lie within the 3 bytes of data (is the file cut off?)"),
        (raw(&pair("[0,2]", "[2,4]"), 5), "incomplete metadata, file not fully covered"),
        (
            raw(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#, 4),
            "overflow computing buffer size from shape and/or element type",
        ),
        (
            raw(r#"{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#, 8),
            "tensor `a` has the unsupported type C64",
        ),
        (raw(r#"{"a":{"dtype":"BOOL","shape":[0],"data_offsets":[0,0]},"a":7}"#, 0), "tensor `a` does not lie"),
    ] {
        let message = unreadable(&bytes);
        assert!(message.starts_with(&format!("d.safetensors is not a usable safetensors file: {reason}")), "{message}");
    }
}

#[test]
fn offsets_that_add_up_to_more_than_memory_are_refused() {
    let size = 1u64 << 60;
    let entry = |i: u64| {
        let end = (i + 1).saturating_mul(size);
        format!(r#""{i:02}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{end}]}}"#, end - i * size, i * size)
    };
    let header = (0..16).map(entry).collect::<Vec<_>>().join(",");
    assert!(unreadable(&raw(&format!("{{{header}}}"), 4)).contains("cut off"));
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let whole = file(&[("labels", filled(&[3], 1i64)), ("images", filled(&[3, 2], 0u8))]).to_bytes();
    (0..whole.len()).for_each(|length| drop(unreadable(&whole[..length])));
}

#[test]
fn missing_files_and_folders_are_file_errors() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &std::path::Path| Dataset::load(path, None).unwrap_err();
    let path = folder.path().join("none.safetensors");
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(error.to_string().starts_with(&format!("cannot read {}: ", path.display())), "{error}");
    let error = refused(folder.path());
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("has no recordings in a supported format"), "{error}");
}

#[test]
fn narrow_types_are_stored_a_byte_each_and_checked() {
    let values = [-8.0, 7.0, 0.0];
    let narrow = file(&[("w", Array::from_f64(TensorType::new(DType::S4, [3]), &values).unwrap())]);
    let bytes = narrow.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(r#""__metadata__":{"dtype:w":"s4"}"#) && text.contains(r#""dtype":"I8""#), "{text}");
    assert_eq!(ArrayFile::parse(&bytes, "d").unwrap(), narrow);

    let lie = |name: &str, dtype: &str| {
        let mut wide = file(&[("w", filled(&[1], 100i8))]);
        wide.metadata.insert(format!("dtype:{name}"), dtype.into());
        ArrayFile::parse(&wide.to_bytes(), "d")
    };
    assert!(lie("w", "s4").unwrap_err().to_string().ends_with("tensor `w` has a value that s4 cannot hold"));
    assert!(lie("w", "u4").unwrap_err().to_string().ends_with("tensor `w` is stored as s8 and cannot be u4"));
    assert!(lie("w", "f32").is_err() && lie("w", "s5").is_err());
    assert!(lie("other", "s4").is_ok());
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    file(&[("x", filled(&[2], 1f32))]).write(&path).unwrap();
    let named = file(&[("__metadata__", filled(&[2], 1f32))]);
    assert_eq!(named.write(&path).unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(ArrayFile::read(&path).unwrap().arrays.len(), 1);
    let missing = folder.path().join("none/a.safetensors");
    assert_eq!(named.write(&missing).unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(file(&[]).write(&missing).unwrap_err().kind(), ErrorKind::File);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn any_array() -> impl Strategy<Value = Array> {
    (prop::sample::select(DType::ALL), prop::collection::vec(0usize..4, 0..4), any::<u64>()).prop_map(
        |(dtype, dims, seed)| {
            let ty = TensorType::new(dtype, dims);
            let values: Vec<f64> = (0..ty.count()).map(|i| (seed.wrapping_mul(i as u64 + 1) % 3) as f64).collect();
            Array::from_f64(ty, &values).unwrap()
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        arrays in prop::collection::btree_map("[a-z/\"é]{1,6}", any_array(), 0..5),
        metadata in prop::collection::btree_map("[a-z ]{0,6}", ".*", 0..3),
    ) {
        let file = ArrayFile { arrays, metadata };
        let bytes = file.to_bytes();
        prop_assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok());
        prop_assert_eq!(ArrayFile::parse(&bytes, "p").unwrap(), file);
    }

    #[test]
    fn spoilt_bytes_never_panic(place in 0usize..400, byte: u8) {
        let mut bytes = file(&[("labels", filled(&[3], 1i64)), ("inputs", filled(&[3, 2, 2], 0.5f32))]).to_bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        if let Ok(file) = ArrayFile::parse(&bytes, "d") {
            _ = Dataset::from_file(&file, "d", Some(3));
        }
    }
}

/// Inputs with these values, as read from a file.
fn trains(dtype: DType, values: &[f64]) -> Inputs {
    let array = Array::from_f64(TensorType::new(dtype, [1, 1, values.len()]), values).expect("an array");
    let file = ArrayFile { arrays: [("inputs".to_owned(), array)].into(), ..ArrayFile::default() };
    Inputs::from_file(&file, "test").expect("inputs")
}

#[test]
fn samples_are_to_a_network_what_they_were_in_training_where_they_can_be() {
    use Coding::{Counts, Reals, Spikes};
    for (dtype, values, own, as_spikes, as_counts) in [
        (DType::U8, &[0.0, 1.0][..], Spikes, Spikes, Counts),
        (DType::U8, &[0.0, 127.0], Counts, Counts, Counts),
        (DType::U8, &[0.0, 128.0], Reals, Reals, Reals),
        (DType::F32, &[0.0, 1.0], Reals, Spikes, Counts),
        (DType::F32, &[0.0, 127.0], Reals, Reals, Counts),
        (DType::F32, &[0.0, 0.5], Reals, Reals, Reals),
        (DType::F32, &[-0.0, 1.0], Reals, Reals, Reals),
        (DType::F32, &[-1.0, 1.0], Reals, Reals, Reals),
        (DType::F32, &[0.0, 128.0], Reals, Reals, Reals),
    ] {
        let inputs = trains(dtype, values);
        assert_eq!(inputs.coding(), own, "{dtype} {values:?}");
        assert_eq!(inputs.coding_for(Spikes), as_spikes, "{dtype} {values:?}");
        assert_eq!(inputs.coding_for(Counts), as_counts, "{dtype} {values:?}");
        assert_eq!(inputs.coding_for(Reals), Reals, "{dtype} {values:?}");
        assert_eq!(inputs.coding_for(Coding::Images(Encoder::BYTES)), own);
    }
    // The maximum in an image file's metadata counts; without one, that of training.
    let images = |max: Option<&str>| {
        let metadata = max.map(|max| ("max".to_owned(), max.to_owned())).into_iter().collect();
        let images = Array::zeros(TensorType::new(DType::U8, [2, 3]));
        let file = ArrayFile { arrays: [("images".to_owned(), images)].into(), metadata };
        Inputs::from_file(&file, "test").expect("inputs")
    };
    let [trained, bytes] = [Encoder::DIGITS, Encoder::BYTES].map(Coding::Images);
    assert_eq!((images(None).coding(), images(None).coding_for(trained)), (bytes, trained));
    assert_eq!((images(Some("255")).coding(), images(Some("255")).coding_for(trained)), (bytes, bytes));
    assert_eq!(images(None).coding_for(Spikes), bytes);
}
