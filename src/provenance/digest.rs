//! Checksums that identify arrays and data sets.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};
use spiq_hlo::Array;

use crate::data::Dataset;

/// The SHA-256 of some contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of arrays by name: their types and values.
    ///
    /// ```
    /// use spiq::{Array, provenance::Digest};
    /// let of = |x: f32| Digest::of_arrays(&[("x".to_owned(), Array::scalar(x))].into());
    /// assert_eq!(of(1.0), of(1.0));
    /// assert_ne!(of(0.0), of(-0.0));
    /// ```
    pub fn of_arrays(arrays: &BTreeMap<String, Array>) -> Digest {
        let mut parts = Parts::default();
        for (name, array) in arrays {
            parts.add(name.as_bytes());
            parts.array(array);
        }
        parts.digest()
    }

    /// The digest of the training and test samples with their labels: the data that a run uses.
    pub fn of_data(train: &Dataset, test: &Dataset) -> Digest {
        let mut parts = Parts::default();
        for data in [train, test] {
            parts.add(format!("{}, {}", data.inputs().stored_coding(), data.rows()).as_bytes());
        }
        parts.samples(train);
        if !test.shares_file(train) {
            parts.samples(test);
        }
        parts.digest()
    }

    pub(super) fn parse(text: &str) -> Option<Digest> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == 64 && digits.is_ascii())?;
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
        }
        Some(Digest(bytes)).filter(|digest| digest.to_string() == text)
    }
}

const PREFIX: &str = "sha256:";

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A hash of parts that includes their boundaries.
#[derive(Default)]
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn array(&mut self, array: &Array) {
        self.add(array.ty().to_string().as_bytes());
        self.add(array.bytes());
    }

    fn samples(&mut self, data: &Dataset) {
        self.array(data.inputs().samples());
        let labels: Vec<u8> = data.all_labels().iter().flat_map(|label| label.to_le_bytes()).collect();
        self.add(&labels);
    }

    fn digest(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}
