//! The parameters and state of a run in one file.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

use spiq_hlo::{Array, DType, TensorType};

use super::checkpoints::naming_the_older;
use crate::data::ArrayFile;
use crate::error::{Error, Result};
use crate::quant::is_statistic;

/// Arrays by path (`core/layers/0/kernel`) and metadata strings: the model, its rules, the progress of the run.
///
/// On disk it is an [`ArrayFile`] with a checksum, written atomically; the same checkpoint always produces the same bytes.
///
/// ```
/// use spiq::{Array, train::Checkpoint};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("params.safetensors");
/// let mut checkpoint = Checkpoint::default();
/// checkpoint.arrays.insert("core/layers/1/beta".into(), Array::scalar(0.9f32));
/// checkpoint.metadata.insert("step".into(), "50".into());
/// checkpoint.save(&path)?;
/// assert_eq!(Checkpoint::load(&path)?, checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The arrays by path.
    pub arrays: BTreeMap<String, Array>,
    /// Strings by name.
    pub metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Writes the checkpoint. An older file of the same name stays in place until the new one is complete.
    ///
    /// # Errors
    /// Of kind `File` when the folder is missing or not writable, or the disk is full.
    pub fn save(&self, path: &Path) -> Result<()> {
        self.file().write_checked(path)
    }

    /// Writes the bytes of the checkpoint's file.
    pub(super) fn write_to(&self, out: &mut dyn Write) -> std::io::Result<()> {
        self.file().write_checked_to(out)
    }

    fn file(&self) -> ArrayFile {
        ArrayFile { arrays: self.arrays.clone(), metadata: self.metadata.clone() }
    }

    /// Reads a checkpoint, or any safetensors file of parameters.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input` when it is damaged, which the checksum detects if there is one.
    pub fn load(path: &Path) -> Result<Checkpoint> {
        let read = Checkpoint::load_checked(path).map(|(checkpoint, _)| checkpoint);
        read.map_err(|error| naming_the_older(error, path))
    }

    /// Like [`load`](Checkpoint::load); also returns whether the file has a checksum.
    pub(super) fn load_checked(path: &Path) -> Result<(Checkpoint, bool)> {
        let (ArrayFile { arrays, metadata }, is_checked) = ArrayFile::read_checked(path)?;
        Ok((Checkpoint { arrays, metadata }, is_checked))
    }

    /// The arrays at these paths, which must exist with exactly these types. Other arrays of the checkpoint (an optimizer's state) are
    /// ignored. `source` names the checkpoint in messages.
    ///
    /// # Errors
    /// Of kind `Input` for the first path that is missing or has another type.
    pub fn select(&self, wanted: &BTreeMap<String, TensorType>, source: &str) -> Result<BTreeMap<String, Array>> {
        let found = wanted.iter().map(|(path, ty)| match self.arrays.get(path) {
            Some(array) if array.ty() == ty => Ok((path.clone(), array.clone())),
            Some(array) => Err(Error::input(format!("{source}: `{path}` is {}, but the model needs {ty}", array.ty()))),
            None => Err(Error::input(format!("{source} lacks `{path}` ({ty}); {}", self.held()))),
        });
        found.collect()
    }

    /// The statistics that static scales are computed from (`quant_stats/…`), by path.
    pub fn statistics(&self) -> BTreeMap<String, Array> {
        let kept = self.arrays.iter().filter(|(path, _)| is_statistic(path));
        kept.map(|(path, array)| (path.clone(), array.clone())).collect()
    }

    /// The contents of the checkpoint, for messages: a few names and the number of further arrays.
    fn held(&self) -> String {
        const SHOWN: usize = 5;
        let names: Vec<String> = self.arrays.keys().take(SHOWN).map(|name| format!("`{name}`")).collect();
        match self.arrays.len() {
            0 => "it holds no array".into(),
            n if n > SHOWN => format!("it holds {} and {} more", names.join(", "), n - SHOWN),
            _ => format!("it holds {}", names.join(", ")),
        }
    }
}

/// The first array with a non-finite value, and the position of its first such value.
pub(super) fn first_not_finite<'a>(arrays: impl IntoIterator<Item = (&'a String, &'a Array)>) -> Option<NotFinite<'a>> {
    arrays.into_iter().filter(|(_, array)| array.dtype().is_float()).find_map(|(path, array)| {
        let (at, value) = not_finite_in(array)?;
        Some(NotFinite { path, value, index: index_of(at, array.dims()) })
    })
}

/// The first non-finite value and its linear index. f32 is read in place: converting large parameters to f64 would take twice their memory.
fn not_finite_in(array: &Array) -> Option<(usize, f64)> {
    let found = |numbers: &mut dyn Iterator<Item = f64>| numbers.enumerate().find(|(_, number)| !number.is_finite());
    match array.dtype() {
        DType::F32 => {
            let numbers = array.bytes().chunks_exact(4);
            found(&mut numbers.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]).into()))
        }
        _ => found(&mut array.to_f64().into_iter()),
    }
}

/// An infinite or NaN value.
pub(super) struct NotFinite<'a> {
    /// The array that contains it.
    pub(super) path: &'a str,
    value: f64,
    index: Vec<usize>,
}

impl fmt::Display for NotFinite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` holds {}", self.path, self.value)?;
        if self.index.is_empty() { Ok(()) } else { write!(f, " at {:?}", self.index) }
    }
}

/// The multi-dimensional index of the element with linear index `at` in an array of these sizes.
fn index_of(mut at: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (place, size) in index.iter_mut().zip(dims).rev() {
        (*place, at) = (at % size, at / size);
    }
    index
}

/// Refuses parameters with non-finite values, as a failed run may leave. `source` names their file.
///
/// # Errors
/// Of kind `Input`, naming the first such value.
///
/// ```
/// use spiq::{Array, train::check_finite};
/// let arrays = [("core/layers/1/beta".to_owned(), Array::new([2], [0.5, f32::NAN])?)].into();
/// let error = check_finite(&arrays, "P.safetensors").unwrap_err().to_string();
/// assert!(error.starts_with("P.safetensors: `core/layers/1/beta` holds NaN at [1]; "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_finite(arrays: &BTreeMap<String, Array>, source: &str) -> Result<()> {
    match first_not_finite(arrays) {
        Some(number) => Err(Error::input(format!(
            "{source}: {number}; use parameters of a run that stayed finite, or allow non-finite values (--allow-nonfinite)"
        ))),
        None => Ok(()),
    }
}
