//! Events summed into frames, and a whole collection of them in one array.

use super::collection::{Collection, Description};
use super::error::Result;
use super::transforms::Pipeline;

/// How events become frames.
///
/// Times count from 0, the start of the recording. With `bins` and `dt` a frame lasts `dt` seconds and there are `bins` of them;
/// with `bins` alone the longest recording is divided into so many; with `dt` alone there are as many as the longest recording needs.
/// Later events are dropped and counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Binning {
    /// Number of frames.
    pub bins: Option<usize>,
    /// Seconds of a frame.
    pub dt: Option<f64>,
    /// Channels to sum neighbours into: 700 to 140 sums groups of 5. Of a sensor with rows, these are columns and rows both.
    pub channels: Option<usize>,
    /// Whether an element is 1 for any number of events, instead of their number (at most 255).
    pub presence: bool,
}

/// Events that are in no frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Behind the last frame.
    pub late: u64,
    /// With a time that is NaN or infinite, or before 0.
    pub without_time: u64,
    /// Beyond 255 in one element.
    pub saturated: u64,
}

/// All frames of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// Row by row: `[N, T, C]` for a sensor of one row and polarity, else `[N, T, height, width, polarity]`.
    pub frames: Vec<u8>,
    /// The shape of `frames`.
    pub dims: Vec<usize>,
    /// The class of each sample; empty where the file has none.
    pub labels: Vec<u32>,
    /// The speaker of each sample; empty where the file has none.
    pub speakers: Vec<u32>,
    /// How they were summed, with the number of frames and their duration as they came out.
    pub binning: Binning,
    /// The collection.
    pub description: Description,
    /// What is in no frame.
    pub dropped: Dropped,
}

/// Reads all samples, applies the transforms and sums their events into frames. `progress` hears how many of how many samples are done.
///
/// # Errors
/// Those of the collection; `Input` for a binning that does not fit it.
pub fn pack(
    _collection: Box<dyn Collection>,
    _pipeline: &Pipeline,
    _binning: &Binning,
    _progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed> {
    todo!("the readers come first")
}
