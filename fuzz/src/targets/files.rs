//! Safetensors files of samples and parameters, and metrics.

use spiq::Array;
use spiq::data::{ArrayFile, Dataset, Inputs};
use spiq::train::{Checkpoint, read_records};

use super::{Target, as_file};
use crate::corpus::file;

/// A file of arrays, as samples with and without labels.
pub const ARRAYS: Target = Target {
    name: "arrays",
    read: |input| {
        let Ok(file) = ArrayFile::parse(input, "a.safetensors") else { return false };
        _ = Inputs::from_file(&file, "a.safetensors");
        Dataset::from_file(&file, "a.safetensors", None).is_ok()
    },
    corpus: || vec![samples()],
};

/// A checkpoint.
pub const CHECKPOINT: Target = Target {
    name: "checkpoint",
    read: |input| as_file("checkpoint.safetensors", input, |path| Checkpoint::load(path).is_ok()),
    corpus: || vec![file("tests/reference/init.safetensors"), samples()],
};

/// metrics.jsonl, which is read up to the first damaged line.
pub const METRICS: Target = Target {
    name: "metrics",
    read: |input| as_file("metrics.jsonl", input, |path| read_records(path).is_ok_and(|records| !records.is_empty())),
    corpus: || vec![METRICS_LINES.as_bytes().to_vec()],
};

const METRICS_LINES: &str = r#"{"step":0,"loss":2.5728412}
{"step":1,"loss":2.2829545}
{"step":19,"loss":2.0026374}
"#;

/// Four small images and their labels.
fn samples() -> Vec<u8> {
    let images = Array::new([4, 2, 3], (0..24).collect::<Vec<u8>>()).expect("24 values");
    let labels = Array::new([4], vec![0_i32, 1, 2, 1]).expect("4 values");
    let arrays = [("images".to_owned(), images), ("labels".to_owned(), labels)].into();
    as_file("samples.safetensors", &[], |path| {
        ArrayFile { arrays, metadata: [("name".to_owned(), "samples".to_owned())].into() }.write(path).expect("room");
        std::fs::read(path).expect("what was written")
    })
}
