//! Flags that say how recordings of events are read, and the reading with its progress.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use spiq::data::{Dataset, Pipeline, ReadFile, Reading, holds_arrays};
use spiq::provenance::{Elements, Provenance};
use spiq::{Error, Result};

use super::argument;
use super::progress::Samples;

/// How recordings become frames, and which samples test. A run remembers it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Recordings of events")]
pub struct Recordings {
    /// Frames of a recording [default: as in training; else as many as --dt says, or 100]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    bins: Option<usize>,
    /// Seconds of a frame; later events are left out [default: as in training; else the longest recording divided by the bins]
    #[arg(long, value_name = "S", value_parser = argument::positive, allow_negative_numbers = true)]
    dt: Option<f64>,
    /// Channels to sum neighbours into: 700 to 140 sums groups of 5 [default: as in training; else those of the sensor]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    channels: Option<usize>,
    /// Whether an element is 1 for any number of events, instead of their number
    #[arg(long)]
    presence: bool,
    /// Transforms of the events before they are summed, under tonic's names: 'Denoise(filter_time = 10000), MergePolarities', or a
    /// file of them (`[[transforms]]`, a `type` and arguments each); a table is at the end of `spiq train --help`
    #[arg(long, value_name = "TRANSFORMS | P.toml", value_parser = transforms)]
    transform: Option<String>,
}

/// The text of transforms, whichever way they are said.
fn transforms(said: &str) -> Result<String> {
    let is_file = !said.contains('(') && Path::new(said).extension().is_some_and(|end| end == "toml");
    let read = match is_file {
        true => Pipeline::from_toml(
            &spiq_events::read_text(Path::new(said)).map_err(|cause| Error::file(Path::new(said), "read", cause))?,
            said,
        ),
        false => Pipeline::parse(said),
    };
    read.map(|pipeline| pipeline.text()).map_err(|error| Error::input(error.to_string()))
}

impl Recordings {
    /// What the flags say.
    pub fn provenance(&self) -> Provenance {
        Provenance {
            bins: self.bins,
            dt: self.dt,
            channels: self.channels,
            elements: self.presence.then_some(Elements::Presence),
            transforms: self.transform.clone(),
            ..Provenance::default()
        }
    }

    /// How a file is read that is shown to a trained network: recordings as flags say, else as in its training.
    ///
    /// # Errors
    /// Of kind `Input` for transforms that are not known.
    pub fn reading(&self, path: &Path, trained: &Provenance) -> Result<Reading> {
        let flags = self.provenance();
        let whole = if holds_arrays(path) { flags } else { flags.or(trained.clone()) };
        Ok(Reading { test_file: None, test_speaker: None, ..whole.reading()? })
    }
}

/// Which samples test.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Recordings of events")]
pub struct TestSamples {
    /// Test on the samples of another file; all of --data train
    #[arg(long, value_name = "F", conflicts_with = "test_speaker")]
    test_data: Option<PathBuf>,
    /// Test on the samples of this speaker; those of all others train
    #[arg(long, value_name = "NAME")]
    test_speaker: Option<String>,
}

impl TestSamples {
    /// The other file.
    pub fn file(&self) -> Option<&Path> {
        self.test_data.as_deref()
    }

    /// What the flags say.
    pub fn provenance(&self) -> Provenance {
        let (test_file, test_speaker) = (self.test_data.clone(), self.test_speaker.clone());
        Provenance { test_file, test_speaker, ..Provenance::default() }
    }
}

/// A data set, and what it was read from.
struct Read {
    path: PathBuf,
    reading: Reading,
    classes: Option<usize>,
    data: Dataset,
}

/// What was read last. The runs of one command mostly share their data: it is read and held once.
static LAST: Mutex<Option<Read>> = Mutex::new(None);

impl Read {
    fn is_of(&self, path: &Path, reading: &Reading, classes: Option<usize>) -> bool {
        self.path == path && self.reading == *reading && self.classes == classes
    }
}

/// The data set of a path, with a progress bar while recordings are read.
///
/// # Errors
/// As [`Dataset::read`].
pub fn dataset(path: &Path, reading: &Reading, classes: Option<usize>) -> Result<Dataset> {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Read { data, .. }) = last.as_ref().filter(|read| read.is_of(path, reading, classes)) {
        return Ok(data.clone());
    }
    let mut progress = Samples::default();
    let data = Dataset::read(path, reading, classes, &mut |done, total| progress.update(done, total))?;
    *last = Some(Read { path: path.to_owned(), reading: reading.clone(), classes, data: data.clone() });
    Ok(data)
}

/// The arrays of a path, with a progress bar while recordings are read.
///
/// # Errors
/// As [`Reading::read`].
pub fn file(path: &Path, reading: &Reading) -> Result<ReadFile> {
    let mut progress = Samples::default();
    reading.read(path, &mut |done, total| progress.update(done, total))
}
