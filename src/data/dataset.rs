//! Labelled samples and their split into training, validation and test.

use std::path::{Path, PathBuf};

use spiq_data::DIGITS;
use spiq_events::{Binning, SPEECH};
use spiq_hlo::Array;

use super::accept;
use super::array_file::ArrayFile;
use super::encoder::{Code, Encoder};
use super::inputs::{Inputs, missing};
use super::part::{Part, fold, held_out};
use super::reading::{ReadFile, Reading};
use crate::error::{Error, Result};
use crate::random::Key;

/// The number of training images, which come first; the test images are by different writers.
const DIGITS_TRAIN: usize = 1437;
/// 64 frames of 14 ms. At this scale neurons see words as they see gestures, and all but one spike in ten thousand is in a frame.
pub const SPEECH_BINNING: Binning = Binning { bins: Some(64), dt: Some(0.014), channels: None, presence: false };
/// The metadata entry with the number of training samples, which come first.
pub(super) const TRAIN: &str = "train";
/// The metadata entry with the number of validation samples, which follow the training samples.
pub(super) const VALIDATION: &str = "validation";
/// The name of the tensor of classes.
pub(super) const LABELS: &str = "labels";

/// The source of the samples.
#[derive(Clone, Debug)]
struct Origin {
    file: PathBuf,
    reading: Reading,
    note: Option<String>,
}

/// Samples with a class each: a safetensors file with [`Inputs`] and `labels`, integers of shape `[N]`.
///
/// ```
/// let digits = spiq::data::Dataset::digits();
/// let (train, test) = digits.split()?;
/// assert_eq!((train.count(), test.count(), digits.classes()), (1437, 360, 10));
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The file and how it was read.
    origin: Option<Origin>,
    inputs: Inputs,
    labels: Vec<i32>,
    classes: usize,
    /// The part of the file that this is. Parts share the arrays.
    part: Part,
    /// Number of training samples, which come first; `None` if the file has no test part.
    train: Option<usize>,
    /// Number of validation samples, which follow them.
    validation: usize,
}

impl Dataset {
    /// Reads a file. Labels must be below `classes`; without it, the largest label determines the number of classes. The metadata entry
    /// `train` gives the number of training samples, which come first; the others are the test part. Without the entry there is no test
    /// part. The metadata entry `validation` gives the number of validation samples, which follow the training samples; the test part then
    /// starts after them. The built-in digits are recognized in any file, with their scale and their test part.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input` when it is damaged, or its tensors are missing, empty, or of the wrong type,
    /// shape or number, or a label is out of range.
    pub fn load(path: &Path, classes: Option<usize>) -> Result<Dataset> {
        Dataset::read(path, &Reading::default(), classes, &mut |_, _| {})
    }

    /// Reads a file of arrays as [`load`](Dataset::load) does, or recordings of events as frames. `progress` receives the number of
    /// recordings done and the total.
    ///
    /// # Errors
    /// As [`load`](Dataset::load) and [`Reading::read`].
    pub fn read(
        path: &Path,
        reading: &Reading,
        classes: Option<usize>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Dataset> {
        let ReadFile { file, binning, note } = reading.read(path, progress)?;
        let reading = Reading { binning: binning.unwrap_or_default(), ..reading.clone() };
        let origin = Origin { file: path.to_owned(), reading, note };
        Ok(Dataset { origin: Some(origin), ..Dataset::from_file(&file, &path.display().to_string(), classes)? })
    }

    /// Builds the data set from the contents of a file. `source` names the file in messages.
    ///
    /// # Errors
    /// Of kind `Input`, as [`Dataset::load`].
    pub fn from_file(file: &ArrayFile, source: &str, classes: Option<usize>) -> Result<Dataset> {
        let inputs = Inputs::from_file(file, source)?;
        let array = file.arrays.get(LABELS).ok_or_else(|| missing("`labels`", file, source))?;
        if let Some(reason) = time_first(&inputs, array) {
            return Err(Error::input(format!("{source}: {reason}")));
        }
        let read = labels(array, inputs.count(), classes);
        let labels = read.map_err(|reason| Error::input(format!("{source}: `labels` {reason}")))?;
        let largest = labels.iter().max().map_or(0, |label| *label as usize);
        let count = inputs.count();
        let train = Dataset::train_part(file, &inputs, source)?;
        let validation =
            validation_part(file, train, count).map_err(|reason| Error::input(format!("{source}: {reason}")))?;
        let (classes, part) = (classes.unwrap_or(largest + 1), Part::Stretch(0..count));
        Ok(Dataset { origin: None, inputs, labels, classes, part, train, validation })
    }

    /// The number of training samples, which come first in a file; `None` if there is no test part. Labels are not needed.
    ///
    /// # Errors
    /// Of kind `Input` for a metadata entry `train` that leaves no training or no test samples.
    pub fn train_part(file: &ArrayFile, inputs: &Inputs, source: &str) -> Result<Option<usize>> {
        let count = inputs.count();
        match file.metadata.get(TRAIN) {
            Some(text) => {
                parse_train(text, count).map(Some).map_err(|reason| Error::input(format!("{source}: {reason}")))
            }
            None => {
                let digits = inputs.encoder() == Some(Encoder::DIGITS) && Dataset::are_digits(inputs.samples());
                Ok(digits.then_some(DIGITS_TRAIN))
            }
        }
    }

    /// The index of the first test sample in a file; `None` if there is no test part. Labels are not needed.
    ///
    /// # Errors
    /// Of kind `Input` for metadata entries that leave no training or no test samples.
    pub fn test_start(file: &ArrayFile, inputs: &Inputs, source: &str) -> Result<Option<usize>> {
        let train = Dataset::train_part(file, inputs, source)?;
        let validation = validation_part(file, train, inputs.count())
            .map_err(|reason| Error::input(format!("{source}: {reason}")))?;
        Ok(train.map(|train| train + validation))
    }

    /// 1797 images of handwritten digits, 8×8 u8 pixels from 0 to 16, in 10 classes. The first 1437 are for training, the last 360 for
    /// testing.
    ///
    /// Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998, test set; CC BY 4.0.
    pub fn digits() -> Dataset {
        let file = ArrayFile::parse(DIGITS, "the built-in digits").expect("the built-in digits are whole");
        Dataset::from_file(&file, "the built-in digits", Some(10)).expect("the built-in digits are valid")
    }

    /// 2,500 recordings of the spoken digits 0 to 9 by five speakers, as spike counts in 140 channels and [`SPEECH_BINNING`]'s frames: 10
    /// classes. The first 2,250 are for training, the last 250 for testing. `Dataset::read("speech", …)` accepts other binnings, or tests
    /// on a held-out speaker.
    ///
    /// Source: Jakobovski et al., Free Spoken Digit Dataset, through [`spiq_events::sound::speech_cochlea`]; CC BY-SA 4.0.
    pub fn speech() -> Dataset {
        let reading = Reading { binning: SPEECH_BINNING, ..Reading::default() };
        Dataset::read(SPEECH.as_ref(), &reading, Some(10), &mut |_, _| {}).expect("the built-in spikes are valid")
    }

    /// Whether these are the built-in images, from whichever file.
    pub(super) fn are_digits(images: &Array) -> bool {
        // The built-in file ends with its images followed by its labels.
        let (count, bytes) = (images.dims()[0], images.bytes());
        let start = DIGITS.len().checked_sub(count + bytes.len());
        images.dims() == [1797, 64] && start.is_some_and(|at| DIGITS[at..].starts_with(bytes))
    }

    /// The training part and the test part. If the file has no test part, both are the whole data set.
    ///
    /// # Errors
    /// Of kind `Input` when this is already a part.
    pub fn split(&self) -> Result<(Dataset, Dataset)> {
        if self.part != Part::Stretch(0..self.inputs.count()) {
            return Err(Error::input("only a whole data set can be split into training and test"));
        }
        let Some(train) = self.train else { return Ok((self.clone(), self.clone())) };
        let test = train + self.validation..self.inputs.count();
        Ok((self.with_part(Part::Stretch(0..train)), self.with_part(Part::Stretch(test))))
    }

    /// The file's own validation part, between training and test; `None` if it has none.
    pub fn own_validation(&self) -> Option<Dataset> {
        let train = self.train.filter(|_| self.validation > 0)?;
        Some(self.with_part(Part::Stretch(train..train + self.validation)))
    }

    /// Holds out `count` samples of this part, stratified by class and drawn with the key. Returns them and the rest.
    ///
    /// # Errors
    /// Of kind `Input` if either would have no samples.
    ///
    /// ```
    /// use spiq::{data::Dataset, random::Key};
    /// let (train, _) = Dataset::digits().split()?;
    /// let (validation, rest) = train.held_out(144, Key::new(0))?;
    /// assert_eq!((validation.count(), rest.count()), (144, 1293));
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn held_out(&self, count: usize, key: Key) -> Result<(Dataset, Dataset)> {
        if count == 0 || count >= self.count() {
            return Err(Error::input(format!(
                "cannot hold out {count} of the {} training samples for validation; give a number from 1 to {}",
                self.count(),
                self.count().saturating_sub(1)
            )));
        }
        Ok(self.divided(held_out(self.labels(), count, key)))
    }

    /// Fold `number` of `of`, counted from 0, of this part, and the rest. Folds are drawn with the key, disjoint and stratified by class.
    ///
    /// # Errors
    /// Of kind `Input` for fewer than two folds, more folds than samples, or a fold number out of range.
    pub fn fold(&self, number: usize, of: usize, key: Key) -> Result<(Dataset, Dataset)> {
        if of < 2 || of > self.count() {
            return Err(Error::input(format!(
                "the number of folds is {of}, but must be from 2 to the {} training samples there are",
                self.count()
            )));
        }
        if number >= of {
            return Err(Error::input(format!("there is no fold {} of {of}; give one from 1 to {of}", number + 1)));
        }
        Ok(self.divided(fold(self.labels(), number, of, key)))
    }

    /// The samples at these places, and the rest.
    fn divided(&self, (held, rest): (Vec<usize>, Vec<usize>)) -> (Dataset, Dataset) {
        let rows = |places: Vec<usize>| {
            let rows: Vec<usize> = places.into_iter().map(|place| self.row(place)).collect();
            let labels: Vec<i32> = rows.iter().map(|row| self.labels[*row]).collect();
            self.with_part(Part::Rows { rows: rows.into(), labels: labels.into() })
        };
        (rows(held), rows(rest))
    }

    fn with_part(&self, part: Part) -> Dataset {
        Dataset { part, ..self.clone() }
    }

    /// The file it was read from.
    pub fn file(&self) -> Option<&Path> {
        self.origin.as_ref().map(|origin| origin.file.as_path())
    }

    /// How it was read, including the frame duration if that was derived from the recordings.
    pub fn reading(&self) -> Option<&Reading> {
        self.origin.as_ref().map(|origin| &origin.reading)
    }

    /// What was left out of the recordings, as a sentence.
    pub fn note(&self) -> Option<&str> {
        self.origin.as_ref()?.note.as_deref()
    }

    /// The same data set with this code turning its samples into spikes.
    ///
    /// # Errors
    /// As [`Inputs::encoded`].
    pub fn encoded(self, code: Code) -> Result<Dataset> {
        Ok(Dataset { inputs: self.inputs.encoded(code)?, ..self })
    }

    /// Whether some samples are reserved for testing.
    pub fn has_test_part(&self) -> bool {
        self.train.is_some()
    }

    /// Number of samples in this part.
    pub fn count(&self) -> usize {
        self.part.count()
    }

    /// Number of classes; every label is below it.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The inputs of the whole file, even if this is a part.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The class of each sample of the whole file.
    pub(crate) fn all_labels(&self) -> &[i32] {
        &self.labels
    }

    /// Whether this data set and another are parts of one file that was read once.
    pub(crate) fn shares_file(&self, other: &Dataset) -> bool {
        let bytes = |data: &Dataset| data.inputs.samples().bytes().as_ptr_range();
        bytes(self) == bytes(other) && self.labels == other.labels
    }

    /// The rows of the file in this part, as text: equal parts have equal texts.
    pub(crate) fn rows(&self) -> String {
        match &self.part {
            Part::Stretch(range) => format!("{} from {}", range.len(), range.start),
            Part::Rows { rows, .. } => format!("{rows:?}"),
        }
    }

    /// The row of the file for a place in this part.
    pub(crate) fn row(&self, place: usize) -> usize {
        self.part.row(place)
    }

    /// The class of each sample of this part.
    pub fn labels(&self) -> &[i32] {
        match &self.part {
            Part::Stretch(range) => &self.labels[range.clone()],
            Part::Rows { labels, .. } => labels,
        }
    }

    /// The places in this part of one epoch's training samples, in file order or shuffled with a key, to be cut into batches of `size`.
    /// Samples beyond the last full batch are left out; shuffling leaves out different ones each time (as in Spyx's `shuffler`, which gives
    /// the same order for the same key).
    ///
    /// # Errors
    /// Of kind `Input` when `size` is 0 or above the number of samples.
    ///
    /// ```
    /// use spiq::{data::Dataset, random::Key};
    /// let (train, _) = Dataset::digits().split()?;
    /// let order = train.training_order(64, Some(Key::new(0)))?;
    /// let batches = order.chunks(64).map(|places| train.gather(places));
    /// assert_eq!(batches.map(|batch| batch.map(|(images, _)| images.dims()[0])).sum::<spiq::Result<usize>>()?, 22 * 64);
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn training_order(&self, size: usize, shuffle: Option<Key>) -> Result<Vec<usize>> {
        if size == 0 || size > self.count() {
            return Err(Error::input(match self.count() {
                1 => format!("the batch size is {size}, but there is 1 sample; give --batch-size 1"),
                count => format!(
                    "the batch size is {size}, but there are {count} samples; give --batch-size {count} or less"
                ),
            }));
        }
        let mut order = shuffle.map_or_else(|| (0..self.count()).collect(), |key| key.permutation(self.count()));
        order.truncate(self.count() / size * size);
        Ok(order)
    }

    /// The stored inputs `[B, …]`, not encoded, and the labels `s32[B]` at these places of this part.
    ///
    /// # Errors
    /// Of kind `Input` for a place that is not below [`count`](Dataset::count).
    pub fn gather(&self, places: &[usize]) -> Result<(Array, Array)> {
        if let Some(place) = places.iter().find(|place| **place >= self.count()) {
            return Err(Error::input(format!("there is no sample {place}; there are {}", self.count())));
        }
        let rows: Vec<usize> = places.iter().map(|place| self.row(*place)).collect();
        let labels: Vec<i32> = rows.iter().map(|row| self.labels[*row]).collect();
        Ok((self.inputs.gather(&rows)?, Array::new([labels.len()], labels).expect("one label per place")))
    }
}

/// Data sets are equal when their samples are, whatever files they were read from.
impl PartialEq for Dataset {
    fn eq(&self, other: &Dataset) -> bool {
        let parts = |data: &Dataset| (data.classes, data.part.clone(), data.train, data.validation);
        parts(self) == parts(other) && self.labels == other.labels && self.inputs == other.inputs
    }
}

fn parse_train(text: &str, count: usize) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|train| (1..count).contains(train)).ok_or_else(|| {
        format!("the metadata entry `{TRAIN}` is {text:?}, but must be a number from 1 to {}", count.saturating_sub(1))
    })
}

/// The number of validation samples of a file, which follow the training samples.
fn validation_part(file: &ArrayFile, train: Option<usize>, count: usize) -> std::result::Result<usize, String> {
    let Some(text) = file.metadata.get(VALIDATION) else { return Ok(0) };
    let train = train.ok_or_else(|| {
        format!(
            "the metadata entry `{VALIDATION}` counts samples after the training samples; give their number as `{TRAIN}`"
        )
    })?;
    let most = count - train;
    text.parse().ok().filter(|validation| *validation < most).ok_or_else(|| {
        format!("the metadata entry `{VALIDATION}` is {text:?}, but must be below {most}, the number of samples after the training samples")
    })
}

/// The reason why samples cannot be read, if their second axis counts samples as the labels do: they are stored as [T, N, …].
fn time_first(inputs: &Inputs, labels: &Array) -> Option<String> {
    let dims = inputs.samples().dims();
    let count = labels.dims().first()?;
    (inputs.encoder().is_none() && *count == dims[1] && *count != dims[0]).then(|| {
        format!(
            "`inputs` is {}, and there are {count} labels: it looks like [T, N, …]; store the samples first, as with \
             numpy.swapaxes(inputs, 0, 1)",
            inputs.samples().ty()
        )
    })
}

fn labels(array: &Array, count: usize, classes: Option<usize>) -> std::result::Result<Vec<i32>, String> {
    let values = accept::labels(array, count)?;
    // Classes index an axis of the output; more than 2^31 are never useful.
    let limit = classes.map_or(f64::from(i32::MAX), |classes| classes as f64);
    match values.iter().position(|label| !(0.0..limit).contains(label)) {
        Some(place) => {
            let instead = if classes.is_some() { "; correct it, or take a model of more classes" } else { "" };
            Err(format!("holds {} at {place}, but must lie between 0 and {}{instead}", values[place], limit - 1.0))
        }
        None => Ok(values.into_iter().map(|label| label as i32).collect()),
    }
}
