//! Samples of a data set one after the other, whatever file they come from.

use super::error::Result;
use super::events::{Events, Sensor};

/// One recording with its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The events.
    pub events: Events,
    /// The class, below the number of [classes](Description::classes) where those are known; `None` where the file has none.
    pub label: Option<u32>,
    /// Who speaks or moves, a number below that of [speakers](Description::speakers).
    pub speaker: Option<u32>,
    /// What the reader did to the events of the file.
    pub mended: Mended,
}

/// What a reader does to events, so that they are as [`Events`] promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Events left out, since their time is NaN, infinite, before 0 or after 4e9 s.
    pub without_time: u64,
    /// Whether the file does not have them in the order of their times; they are put in order, those of one time as they were.
    pub sorted: bool,
}

/// What is known of a collection before its samples are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The format: `SHD`, `N-MNIST`.
    pub format: &'static str,
    /// The sensor of all samples.
    pub sensor: Sensor,
    /// Number of samples.
    pub count: usize,
    /// Names of the classes; empty where the file has none.
    pub classes: Vec<String>,
    /// Names of the speakers; empty where the file has none.
    pub speakers: Vec<String>,
    /// How many of the first samples train, the others test; `None` where the file does not say.
    pub train: Option<usize>,
    /// How many of those after them are for validation; the others test.
    pub validation: usize,
}

/// Samples in the order of the file. Each is read when it is asked for.
pub trait Collection: Iterator<Item = Result<Sample>> + Send {
    /// What is known before they are read.
    fn description(&self) -> &Description;

    /// Goes back to the first sample.
    ///
    /// # Errors
    /// `File` when it cannot be read any more.
    fn restart(&mut self) -> Result<()>;
}
