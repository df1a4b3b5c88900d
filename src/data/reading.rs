//! Builds the arrays of a data set from the given paths: loads array files, sums recordings into frames, appends a test file to a training
//! file, and moves a test speaker's samples to the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spiq_events::{Binning, Known, Packed, Pipeline, SPEECH};
use spiq_hlo::{Array, DType, TensorType};

use super::array_file::ArrayFile;
use super::dataset::{LABELS, TRAIN, VALIDATION};
use super::inputs::INPUTS;
use super::npz::{is_npz, read_npz};
use crate::error::{Error, Result};

/// The name of the tensor with each sample's speaker, and of the metadata entry with the names of speakers.
pub(super) const SPEAKERS: &str = "speakers";
/// The metadata entry with the names of classes.
pub(super) const CLASSES: &str = "classes";
/// The separator of names in a metadata entry.
const COMMA: &str = ", ";

/// How to build the arrays of a data set from its path.
///
/// ```no_run
/// use spiq::data::{Binning, Dataset, Reading};
/// let binning = Binning { bins: Some(100), dt: Some(0.01), channels: Some(140), ..Binning::default() };
/// let reading = Reading { binning, test_file: Some("shd_test.h5".into()), ..Reading::default() };
/// let data = Dataset::read("shd_train.h5".as_ref(), &reading, None, &mut |_, _| {})?;
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Transforms of each recording's events, applied before they are summed.
    pub transforms: Pipeline,
    /// How recordings become frames; [`DEFAULT_BINS`] frames if neither bins nor a duration is given.
    pub binning: Binning,
    /// Another file with the test samples; all samples of the first file are for training.
    pub test_file: Option<PathBuf>,
    /// The speaker whose samples are for testing; all others are for training.
    pub test_speaker: Option<String>,
}

/// Frames per recording if neither their number nor their duration is given.
pub const DEFAULT_BINS: usize = 100;

/// The result of reading.
#[derive(Debug)]
pub struct ReadFile {
    /// The arrays: `inputs` or `images`, and `labels` and `speakers` if available.
    pub file: ArrayFile,
    /// How recordings were read, including the frame duration if derived from them; `None` for files of arrays.
    pub binning: Option<Binning>,
    /// What was left out, as a sentence.
    pub note: Option<String>,
}

impl Reading {
    /// Reads a safetensors file or recordings. `progress` receives the number of recordings done and the total.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input` when it is damaged, of an unknown format, or does not match these settings.
    pub fn read(&self, path: &Path, progress: &mut dyn FnMut(usize, usize)) -> Result<ReadFile> {
        let mut read = self.one(path, &self.binning, progress)?;
        if let Some(test) = &self.test_file {
            // Test frames get the same duration as training frames.
            let binning = read.binning.clone().unwrap_or_default();
            let other = self.one(test, &binning, progress)?;
            append(&mut read.file, other.file, [path, test])?;
            read.note = read.note.or(other.note);
        }
        if let Some(speaker) = &self.test_speaker {
            read.test_on(speaker, path)?;
        }
        Ok(read)
    }

    fn one(&self, path: &Path, binning: &Binning, progress: &mut dyn FnMut(usize, usize)) -> Result<ReadFile> {
        if holds_arrays(path) {
            if path.exists() {
                self.refuse_for_arrays(path)?;
            }
            return Ok(ReadFile { file: read_arrays(path)?, binning: None, note: None });
        }
        let bins = binning.bins.or(binning.dt.is_none().then_some(DEFAULT_BINS));
        let binning = Binning { bins, ..binning.clone() };
        let packed = spiq_events::pack(spiq_events::open(path)?, &self.transforms, &binning, progress)?;
        let (binning, note) = (packed.binning.clone(), dropped(&packed, path));
        Ok(ReadFile { file: array_file(packed)?, binning: Some(binning), note })
    }

    /// Rejects settings that apply only to recordings.
    fn refuse_for_arrays(&self, path: &Path) -> Result<()> {
        let Binning { bins, dt, channels, presence } = &self.binning;
        let events = [
            (bins.is_some(), "--bins"),
            (dt.is_some(), "--dt"),
            (channels.is_some(), "--channels"),
            (*presence, "--presence"),
            (self.transforms != Pipeline::default(), "--transform"),
        ];
        match events.iter().find(|(given, _)| *given) {
            None => Ok(()),
            Some((_, flag)) => Err(Error::input(format!(
                "{} holds arrays, not recordings of events; leave {flag} out",
                path.display()
            ))),
        }
    }
}

impl ReadFile {
    /// Moves the samples of a speaker to the end, as the test part. `path` names the file in messages.
    ///
    /// # Errors
    /// Of kind `Input` if the file has no speakers, or all or none of its samples are by this one.
    pub fn test_on(&mut self, speaker: &str, path: &Path) -> Result<()> {
        move_to_the_end(&mut self.file, speaker, path)
    }
}

/// The arrays of a safetensors file, or of a `.npz` archive with samples.
///
/// # Errors
/// As [`ArrayFile::read`].
pub(super) fn read_arrays(path: &Path) -> Result<ArrayFile> {
    if is_npz(path) { read_npz(path) } else { ArrayFile::read(path) }
}

/// Whether a path is to be read by [`ArrayFile`], which also reports unusable paths; otherwise it is for recordings.
pub fn holds_arrays(path: &Path) -> bool {
    // A known data set that has not been fetched is requested by its name.
    let is_missing = Known::named(&path.to_string_lossy()).is_some() && !path.exists();
    if path.is_dir() || is_missing || path.as_os_str() == SPEECH {
        return false;
    }
    // Opening a pipe could block forever; [`ArrayFile`] rejects it and anything else that is not a regular file.
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        return true;
    }
    let mut start = [0; 9];
    let begins_as_json = File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start[8] == b'{';
    begins_as_json
        || is_npz(path)
        || !path.exists()
        || path.extension().is_some_and(|extension| extension == "safetensors")
}

/// A collection's frames, under the names that [`Dataset`](super::Dataset) and [`Inputs`](super::Inputs) read.
///
/// # Errors
/// Of kind `Input` for frames that do not form a complete array.
pub fn array_file(packed: Packed) -> Result<ArrayFile> {
    let Packed { frames, dims, labels, speakers, description, .. } = packed;
    let array = |dims: Vec<usize>, values: Arc<[u8]>| {
        // Shares the frames' memory; no copy.
        Array::from_bytes(TensorType::new(DType::U8, dims), values)
            .map_err(|error| Error::input(format!("the recordings are not usable: {error}")))
    };
    let mut file = ArrayFile::default();
    file.arrays.insert(INPUTS.into(), array(dims, frames)?);
    for (name, numbers) in [(LABELS, labels), (SPEAKERS, speakers)] {
        if !numbers.is_empty() {
            let numbers: Vec<i32> =
                numbers.into_iter().map(|number| i32::try_from(number).unwrap_or(i32::MAX)).collect();
            file.arrays.insert(name.into(), Array::new([numbers.len()], numbers).expect("one number per sample"));
        }
    }
    for (name, names) in [(CLASSES, description.classes), (SPEAKERS, description.speakers)] {
        if !names.is_empty() {
            file.metadata.insert(name.into(), names.join(COMMA));
        }
    }
    // Without samples on both sides there is no split.
    let train = description.train.filter(|train| (1..description.count).contains(train));
    if let Some(train) = train {
        file.metadata.insert(TRAIN.into(), train.to_string());
        if description.validation > 0 {
            file.metadata.insert(VALIDATION.into(), description.validation.to_string());
        }
    }
    Ok(file)
}

/// The events that are in no frame, as a sentence; `None` if there are none.
fn dropped(packed: &Packed, path: &Path) -> Option<String> {
    let dropped = packed.dropped;
    let parts = [
        (dropped.late, "after the last bin"),
        (dropped.without_time, "without a usable time"),
        (dropped.saturated, "above 255 in one element"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!parts.is_empty()).then(|| format!("note: {}: events left out: {}", path.display(), parts.join(", ")))
}

/// Appends the samples of another file; those of the first become the training part.
fn append(file: &mut ArrayFile, other: ArrayFile, paths: [&Path; 2]) -> Result<()> {
    let [first, second] = paths.map(|path| path.display());
    let train = file.arrays.values().next().map_or(0, |array| array.dims().first().copied().unwrap_or(0));
    let mut arrays = BTreeMap::new();
    for (name, array) in &file.arrays {
        let Some(more) = other.arrays.get(name) else {
            return Err(Error::input(format!("{first} has `{name}`, but the test data {second} does not")));
        };
        let sample = |array: &Array| array.dims().get(1..).map(<[usize]>::to_vec);
        if sample(array) != sample(more) || array.dtype() != more.dtype() {
            let (is, others) = (array.ty(), more.ty());
            return Err(Error::input(format!(
                "`{name}` of {first} is {is}, but that of the test data {second} is {others}"
            )));
        }
        let dims = [&[array.dims()[0] + more.dims()[0]], &array.dims()[1..]].concat();
        let bytes = [array.bytes(), more.bytes()].concat();
        arrays.insert(name.clone(), Array::from_bytes(array.ty().with_dims(dims), bytes).expect("whole samples"));
    }
    file.arrays = arrays;
    file.metadata.remove(VALIDATION);
    file.metadata.insert(TRAIN.into(), train.to_string());
    Ok(())
}

/// Moves the samples of a speaker to the end and makes them the test part.
fn move_to_the_end(file: &mut ArrayFile, speaker: &str, path: &Path) -> Result<()> {
    let source = path.display();
    let (Some(speakers), Some(names)) = (file.arrays.get(SPEAKERS), file.metadata.get(SPEAKERS)) else {
        return Err(Error::input(format!("{source} does not name its speakers; leave --test-speaker out")));
    };
    let Some(wanted) = names.split(COMMA).position(|name| name == speaker) else {
        return Err(Error::input(format!("{source} has no speaker `{speaker}`; available: {names}")));
    };
    let of: Vec<f64> = speakers.to_f64();
    let (tests, trains): (Vec<usize>, Vec<usize>) = (0..of.len()).partition(|place| of[*place] == wanted as f64);
    if tests.is_empty() || trains.is_empty() {
        return Err(Error::input(format!("{source}: either none or all of the samples are by `{speaker}`")));
    }
    let order = [trains.as_slice(), &tests].concat();
    for array in file.arrays.values_mut().filter(|array| array.dims().first() == Some(&of.len())) {
        *array = ordered(array, &order);
    }
    file.metadata.remove(VALIDATION);
    file.metadata.insert(TRAIN.into(), trains.len().to_string());
    Ok(())
}

/// The samples of an array in another order.
fn ordered(array: &Array, order: &[usize]) -> Array {
    let size = array.bytes().len() / array.dims()[0];
    let mut bytes = Vec::with_capacity(array.bytes().len());
    order.iter().for_each(|place| bytes.extend_from_slice(&array.bytes()[place * size..(place + 1) * size]));
    let ty: TensorType = array.ty().clone();
    Array::from_bytes(ty, bytes).expect("the same samples")
}
