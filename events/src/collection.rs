//! The samples of a data set as an iterator, independent of the file format.

use super::error::Result;
use super::events::{Events, Sensor};

/// One recording with its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The events.
    pub events: Events,
    /// The class, below the number of [classes](Description::classes) if those are known; `None` if the file has none.
    pub label: Option<u32>,
    /// The speaker or subject, below the number of [speakers](Description::speakers).
    pub speaker: Option<u32>,
    /// What the reader repaired.
    pub mended: Mended,
}

/// Repairs that a reader made to satisfy the invariants of [`Events`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Number of events dropped because their time is NaN, infinite, before 0 or after 4e9 s.
    pub without_time: u64,
    /// Whether the events were out of order in the file; they are sorted by time, stably.
    pub sorted: bool,
}

/// Facts about a collection that are available before its samples are read.
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
    /// The number of leading samples that train; the others test. `None` if the file does not define a split.
    pub train: Option<usize>,
    /// The number of samples after those that are for validation; the others test.
    pub validation: usize,
}

/// Samples in file order, each read on demand.
pub trait Collection: Iterator<Item = Result<Sample>> + Send {
    /// Facts that are available before samples are read.
    fn description(&self) -> &Description;

    /// Restarts at the first sample.
    ///
    /// # Errors
    /// `File` if it can no longer be read.
    fn restart(&mut self) -> Result<()>;
}
