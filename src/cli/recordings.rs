//! Flags for reading event recordings, and reading with a progress bar.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use spiq::data::{Dataset, Pipeline, ReadFile, Reading, holds_arrays};
use spiq::provenance::{Elements, Provenance};
use spiq::{Error, Result};

use super::argument;
use super::progress::Samples;

/// How recordings become frames. A run records these settings.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Recordings of events")]
pub struct Recordings {
    /// Frames per recording [default: as in training; else as many as --dt gives, or 100]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    bins: Option<usize>,
    /// Seconds per frame; later events are dropped [default: as in training; else the longest recording divided by the bins]
    #[arg(long, value_name = "S", value_parser = argument::positive, allow_negative_numbers = true)]
    dt: Option<f64>,
    /// Channels after summing neighbours: from 700 to 140 sums groups of 5 [default: as in training; else those of the sensor]
    #[arg(long, value_name = "N", value_parser = argument::count)]
    channels: Option<usize>,
    /// Store 1 where there are events, instead of their number
    #[arg(long)]
    presence: bool,
    /// Event transforms to apply before binning, under tonic's names: 'Denoise(filter_time = 10000), MergePolarities', or a TOML file
    /// (`[[transforms]]`, each with a `type` and arguments); `spiq train --help` lists them
    #[arg(long, value_name = "TRANSFORMS | P.toml", value_parser = transforms)]
    transform: Option<String>,
}

/// Parses transforms given inline or as a file, and returns their canonical text.
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
    /// The settings that the flags give.
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

    /// How to read a file for a trained network: as the flags say, else as in training.
    ///
    /// # Errors
    /// Of kind `Input` for unknown transforms.
    pub fn reading(&self, path: &Path, trained: &Provenance) -> Result<Reading> {
        let flags = self.provenance();
        let whole = if holds_arrays(path) { flags } else { flags.or(trained.clone()) };
        Ok(Reading { test_file: None, test_speaker: None, ..whole.reading()? })
    }
}

/// The choice of test samples.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Recordings of events")]
pub struct TestSamples {
    /// Test on this file; all samples of --data are used for training
    #[arg(long, value_name = "F", conflicts_with = "test_speaker")]
    test_data: Option<PathBuf>,
    /// Test on the samples of this speaker, train on those of all others
    #[arg(long, value_name = "NAME")]
    test_speaker: Option<String>,
}

impl TestSamples {
    /// The test file.
    pub fn file(&self) -> Option<&Path> {
        self.test_data.as_deref()
    }

    /// The settings that the flags give.
    pub fn provenance(&self) -> Provenance {
        let (test_file, test_speaker) = (self.test_data.clone(), self.test_speaker.clone());
        Provenance { test_file, test_speaker, ..Provenance::default() }
    }
}

/// A data set and its source.
struct Read {
    path: PathBuf,
    reading: Reading,
    classes: Option<usize>,
    data: Dataset,
}

/// The data set read last. The runs of one command usually share their data, so it is read and held once.
static LAST: Mutex<Option<Read>> = Mutex::new(None);

impl Read {
    fn is_of(&self, path: &Path, reading: &Reading, classes: Option<usize>) -> bool {
        self.path == path && self.reading == *reading && self.classes == classes
    }
}

/// Reads the data set at a path, with a progress bar for recordings.
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

/// Reads the arrays at a path, with a progress bar for recordings.
///
/// # Errors
/// As [`Reading::read`].
pub fn file(path: &Path, reading: &Reading) -> Result<ReadFile> {
    let mut progress = Samples::default();
    reading.read(path, &mut |done, total| progress.update(done, total))
}
