//! A run's history as JSON lines, one record per line, readable during the run. Invariant: does not depend on what trains.

mod tensorboard;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) use tensorboard::TENSORBOARD;
pub use tensorboard::TensorBoard;

/// One line of `metrics.jsonl`. A number that is not finite is `null` in the file and `None` when read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Record {
    /// `{"step": 12, "loss": 1.5}`: after a training step.
    Step {
        /// The step, counted over the whole run.
        step: u64,
        /// Loss of its batch.
        loss: Option<f32>,
    },
    /// `{"epoch": 1, "train_loss": 1.5, "test_accuracy": 0.9, "spike_rates": {"core/layers/1": 0.2}}`: after an epoch. Another metric than
    /// accuracy appears under its own name instead of `test_accuracy`, and as `validation_NAME` instead of `validation_accuracy`.
    Epoch {
        /// The epoch.
        epoch: u64,
        /// Mean loss of its steps.
        train_loss: Option<f32>,
        /// Fraction of test samples classified correctly, from 0 to 1; `None` if another metric is measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test_accuracy: Option<f32>,
        /// The same for the validation samples; `None` if there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        validation_accuracy: Option<f32>,
        /// Mean number of spikes per neuron and step over the test samples, for each layer that fires, by path.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        spike_rates: BTreeMap<String, Option<f32>>,
        /// Another metric than accuracy, by name.
        #[serde(flatten)]
        metric: BTreeMap<String, Option<f32>>,
    },
}

impl Record {
    /// The record of a step.
    pub fn step(step: u64, loss: f32) -> Record {
        Record::Step { step, loss: finite(loss) }
    }

    /// The record of an epoch, without spike rates.
    pub fn epoch(epoch: u64, train_loss: f32, test_accuracy: f32) -> Record {
        let (train_loss, test_accuracy) = (finite(train_loss), finite(test_accuracy));
        Record::Epoch {
            epoch,
            train_loss,
            test_accuracy,
            validation_accuracy: None,
            spike_rates: BTreeMap::new(),
            metric: BTreeMap::new(),
        }
    }

    /// The record of an epoch with another test metric than accuracy.
    pub fn measured(epoch: u64, train_loss: f32, metric: &str, value: f32) -> Record {
        Record::Epoch {
            epoch,
            train_loss: finite(train_loss),
            test_accuracy: None,
            validation_accuracy: None,
            spike_rates: BTreeMap::new(),
            metric: [(metric.to_owned(), finite(value))].into(),
        }
    }

    /// The record of an epoch with the spike rates of its test, by layer path.
    #[must_use]
    pub fn with_spike_rates(self, rates: &BTreeMap<String, f32>) -> Record {
        let of_test = rates.iter().map(|(path, rate)| (path.clone(), finite(*rate))).collect();
        let mut record = self;
        if let Record::Epoch { spike_rates, .. } = &mut record {
            *spike_rates = of_test;
        }
        record
    }

    /// The record of an epoch with its validation result: the accuracy, or the record's metric.
    #[must_use]
    pub fn with_validation(self, value: f32) -> Record {
        let mut record = self;
        if let Record::Epoch { validation_accuracy, metric, .. } = &mut record {
            match metric.keys().next().cloned() {
                Some(name) => _ = metric.insert(format!("{VALIDATION}{name}"), finite(value)),
                None => *validation_accuracy = finite(value),
            }
        }
        record
    }
}

/// The prefix of a metric's name for validation samples.
pub(crate) const VALIDATION: &str = "validation_";

fn finite(number: f32) -> Option<f32> {
    number.is_finite().then_some(number)
}

/// Appends records to a file. Each is written to the operating system before the call returns.
///
/// ```
/// use spiq::train::{Metrics, Record, read_records};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("metrics.jsonl");
/// let mut metrics = Metrics::create(&path)?;
/// metrics.write(Record::step(0, 2.3))?;
/// metrics.write(Record::step(1, f32::NAN))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "{\"step\":0,\"loss\":2.3}\n{\"step\":1,\"loss\":null}\n");
///
/// // A run that resumes from a checkpoint made after step 0 removes later records.
/// Metrics::resume(&path, |record| matches!(record, Record::Step { step: 0, .. }))?;
/// assert_eq!(read_records(&path)?, [Record::step(0, 2.3)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Metrics {
    /// `None`: another process writes.
    file: Option<File>,
    path: PathBuf,
    tensorboard: Option<TensorBoard>,
    place: Place,
    /// The checksum of everything before it.
    sum: crc32fast::Hasher,
}

/// A position in a file of records, with a checksum of the content before it, to recognize it later. As text: `BYTES crc32:SUM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    bytes: u64,
    sum: u32,
}

impl Place {
    pub(crate) fn parse(text: &str) -> Option<Place> {
        let (bytes, sum) = text.split_once(" crc32:")?;
        Some(Place { bytes: bytes.parse().ok()?, sum: u32::from_str_radix(sum, 16).ok()? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} crc32:{:08x}", self.bytes, self.sum)
    }
}

impl Metrics {
    /// Starts an empty file, replacing any older one.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be written.
    pub fn create(path: &Path) -> Result<Metrics> {
        let file = create_anew(path).map_err(|cause| Error::file(path, "write", cause))?;
        Ok(Metrics::after(&[], file, path))
    }

    /// Records that another process writes: these go nowhere.
    pub(crate) fn elsewhere() -> Metrics {
        let (sum, place) = (crc32fast::Hasher::new(), Place { bytes: 0, sum: 0 });
        Metrics { file: None, path: PathBuf::new(), tensorboard: None, place, sum }
    }

    /// Also writes for TensorBoard: the earlier records, then each new one.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be written.
    pub fn with_tensorboard(self, path: &Path, before: &[Record]) -> Result<Metrics> {
        let mut tensorboard = TensorBoard::create(path)?;
        before.iter().try_for_each(|record| tensorboard.write(record))?;
        Ok(Metrics { tensorboard: Some(tensorboard), ..self })
    }

    /// Continues a file, which may be missing, after its leading records for which `keep` returns true. The first other record, or
    /// incomplete line (after a crash), and everything after it is removed.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read and written.
    pub fn resume(path: &Path, keep: impl Fn(&Record) -> bool) -> Result<Metrics> {
        let failed = |cause| Error::file(path, "continue", cause);
        // A missing file is an empty one.
        OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
        let bytes = spiq_events::read_file(path).map_err(failed)?;
        let end = records(&bytes).take_while(|(_, record)| keep(record)).map(|(end, _)| end).last().unwrap_or(0);
        Metrics::resume_after(path, &bytes[..end])
    }

    /// Continues a file at an earlier position and removes what follows. `None` if the content before it has changed.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read and written.
    pub(crate) fn resume_at(path: &Path, place: Place) -> Result<Option<Metrics>> {
        let bytes = match spiq_events::read_file(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(Error::file(path, "read", cause)),
            read => read.unwrap_or_default(),
        };
        let before = usize::try_from(place.bytes).ok().and_then(|end| bytes.get(..end));
        let same = before.filter(|before| crc32fast::hash(before) == place.sum);
        same.map(|before| Metrics::resume_after(path, before)).transpose()
    }

    /// Continues a file that starts with these bytes, after truncating it to them.
    fn resume_after(path: &Path, bytes: &[u8]) -> Result<Metrics> {
        let cut = || {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            file.set_len(bytes.len() as u64)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = cut().map_err(|cause| Error::file(path, "continue", cause))?;
        Ok(Metrics::after(bytes, file, path))
    }

    fn after(bytes: &[u8], file: File, path: &Path) -> Metrics {
        let mut sum = crc32fast::Hasher::new();
        sum.update(bytes);
        let place = Place { bytes: bytes.len() as u64, sum: sum.clone().finalize() };
        Metrics { file: Some(file), path: path.to_owned(), tensorboard: None, place, sum }
    }

    /// The current position.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// A second handle to the file, so that another thread can wait until it is on disk.
    pub(crate) fn handle(&self) -> Option<File> {
        self.file.as_ref()?.try_clone().ok()
    }

    /// Appends one record.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be written.
    pub fn write(&mut self, record: Record) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Some(tensorboard) = &mut self.tensorboard {
            tensorboard.write(&record)?;
        }
        let mut line = serde_json::to_vec(&record).expect("numbers");
        line.push(b'\n');
        // One write for the whole line, so that a reader sees all of it or nothing.
        file.write_all(&line).map_err(|cause| Error::file(&self.path, "write", cause))?;
        self.sum.update(&line);
        self.place = Place { bytes: self.place.bytes + line.len() as u64, sum: self.sum.clone().finalize() };
        Ok(())
    }
}

/// Creates a new file, replacing any older one; a link is replaced itself, without touching its target.
fn create_anew(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// All records of a file up to the first invalid line.
///
/// # Errors
/// Of kind `File` when it cannot be read.
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    let bytes = spiq_events::read_file(path).map_err(|cause| Error::file(path, "read", cause))?;
    Ok(records(&bytes).map(|(_, record)| record).collect())
}

/// The records of complete lines, each with the position of the end of its line.
fn records(bytes: &[u8]) -> impl Iterator<Item = (usize, Record)> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take_while(|line| line.ends_with(b"\n"));
    let ends = lines.scan(0, |end, line| {
        *end += line.len();
        Some((*end, line))
    });
    ends.map_while(|(end, line)| serde_json::from_slice(line).ok().map(|record| (end, record)))
}
