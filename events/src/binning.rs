//! Bins events into frames and packs a collection into one array.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::collection::{Collection, Description, Sample};
use super::error::{Error, Result};
use super::events::{Events, Sensor};
use super::free_memory::free_memory;
use super::time::LATEST;
use super::transforms::Pipeline;

/// Seed of random transforms; the sample's index is the other half of the key.
const SEED: u64 = 0;
/// The shortest frame, in seconds.
const SHORTEST: f64 = 1e-6;

/// How events are binned into frames.
///
/// Time 0 is the start of the recording. With `bins` and `dt` there are `bins` frames of `dt` seconds each. With `bins` alone the
/// longest recording is divided into that many; with `dt` alone there are as many as the longest recording needs; both read the
/// collection twice. Later events are dropped and counted. A frame lasts at least a microsecond, the resolution of times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Binning {
    /// Number of frames.
    pub bins: Option<usize>,
    /// Duration of a frame in seconds.
    pub dt: Option<f64>,
    /// Number of channels after summing neighbours: 700 to 140 sums groups of 5. If it does not divide the width, channel `x` of
    /// `width` goes to `x * channels / width`, rounded down, so group sizes differ by one: 700 to 128 sums groups of 5 and 6. For a
    /// sensor with rows, these are columns, and rows are scaled alike: 346 x 260 to 173 gives 173 x 130.
    pub channels: Option<usize>,
    /// Whether an element is 1 for any number of events instead of the event count (at most 255).
    pub presence: bool,
}

/// Events that are not in any frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// After the last frame.
    pub late: u64,
    /// With a time that is NaN or infinite, before 0 or after 4e9 s.
    pub without_time: u64,
    /// In excess of 255 in one element.
    pub saturated: u64,
}

/// The frames of a whole collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// Row by row: `[N, T, C]` for a sensor of one row and polarity, else `[N, T, height, width, polarity]`.
    pub frames: Arc<[u8]>,
    /// The shape of `frames`.
    pub dims: Vec<usize>,
    /// The class of each sample; empty where the file has none.
    pub labels: Vec<u32>,
    /// The speaker of each sample; empty where the file has none.
    pub speakers: Vec<u32>,
    /// The binning used, with the resulting number of frames and their duration.
    pub binning: Binning,
    /// The collection.
    pub description: Description,
    /// Number of events read, including dropped ones.
    pub events: u64,
    /// The dropped events.
    pub dropped: Dropped,
    /// Number of samples that the reader had to sort by time.
    pub sorted: usize,
}

/// Reads all samples, applies the transforms and bins their events into frames. `progress` receives the number of samples done and the
/// total. A separate thread reads and transforms the samples. Peak memory is the frames plus a few samples.
///
/// # Errors
/// The collection's errors; `Input` for a binning that does not fit it, or if there are no samples.
pub fn pack(
    mut collection: Box<dyn Collection>,
    pipeline: &Pipeline,
    binning: &Binning,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed> {
    let description = collection.description().clone();
    let count = description.count;
    if count == 0 {
        return Err(Error::input("the data set has no samples"));
    }
    let sensor = pipeline.sensor(description.sensor)?;
    let binning = &binning.of_frames(pipeline);
    let passes = 1 + usize::from(binning.needs_longest());
    let mut longest = 0;
    if binning.needs_longest() {
        for_each(&mut *collection, pipeline, |place, sample| {
            longest = longest.max(sample.events.t.last().copied().unwrap_or(0));
            progress(place + 1, passes * count);
            Ok(())
        })?;
        collection.restart()?;
    }
    let grid = Grid::new(binning, sensor, longest)?;
    let mut packed = grid.packed(description, binning)?;
    let size = grid.size();
    let all = Arc::get_mut(&mut packed.frames).expect("nobody else has them yet");
    for_each(&mut *collection, pipeline, |place, sample| {
        let frames = all.get_mut(place * size..(place + 1) * size);
        let frames =
            frames.ok_or_else(|| Error::input(format!("there are more samples than the {count} announced")))?;
        let dropped = &mut packed.dropped;
        packed.events += sample.events.len() as u64 + sample.mended.without_time;
        dropped.without_time += sample.mended.without_time;
        packed.sorted += usize::from(sample.mended.sorted);
        grid.sum(&sample.events, frames, dropped);
        packed.labels.extend(sample.label);
        packed.speakers.extend(sample.speaker);
        progress((passes - 1) * count + place + 1, passes * count);
        Ok(())
    })?;
    // Labels are all or nothing: if some samples lack one, they are dropped.
    [&mut packed.labels, &mut packed.speakers].into_iter().filter(|all| all.len() < count).for_each(Vec::clear);
    Ok(packed)
}

/// Reads and transforms on another thread while this one processes earlier samples.
fn for_each(
    collection: &mut dyn Collection,
    pipeline: &Pipeline,
    mut each: impl FnMut(usize, Sample) -> Result<()>,
) -> Result<()> {
    let sensor = collection.description().sensor;
    // Deep enough that neither side stalls on every sample.
    let (sender, receiver) = sync_channel(8);
    thread::scope(|scope| {
        scope.spawn(move || {
            for (place, sample) in collection.enumerate() {
                let sample = sample.map(|mut sample| {
                    pipeline.apply(&mut sample.events, sensor, SEED, place as u64);
                    sample
                });
                let ends = sample.is_err();
                // A send error means that the receiver has stopped.
                if sender.send(sample).is_err() || ends {
                    return;
                }
            }
        });
        receiver.into_iter().enumerate().try_for_each(|(place, sample)| each(place, sample?))
    })
}

impl Binning {
    /// The binning after these transforms. If they already cut recordings into frames, an event's time is its frame number.
    fn of_frames(&self, pipeline: &Pipeline) -> Binning {
        match pipeline.frames() {
            None => self.clone(),
            Some(count) => Binning { bins: count.or(self.bins), dt: Some(1e-6), ..self.clone() },
        }
    }

    fn needs_longest(&self) -> bool {
        self.bins.is_none() || self.dt.is_none()
    }
}

/// Maps an event to an element of its sample's frames.
struct Grid {
    bins: usize,
    seconds: f64,
    /// Microseconds of a frame.
    dt: f64,
    /// Offsets of columns and rows within a frame.
    columns: Vec<usize>,
    rows: Vec<usize>,
    frame: usize,
    dims: Vec<usize>,
    polarities: u8,
    presence: bool,
    /// Whether the last frame extends past the last event.
    holds_all: bool,
}

impl Grid {
    fn new(binning: &Binning, sensor: Sensor, longest: i64) -> Result<Grid> {
        let longest_frame = LATEST as f64 / 1e6;
        if let Some(dt) = binning.dt.filter(|dt| !(SHORTEST..=longest_frame).contains(dt)) {
            return Err(Error::input(format!(
                "a frame cannot last {dt:e} s; give a number from {SHORTEST} (times are microseconds) to {longest_frame:e}"
            )));
        }
        let (bins, seconds) = match (binning.bins, binning.dt) {
            (Some(0), _) => return Err(Error::input("0 bins hold nothing; give 1 at least")),
            (Some(bins), Some(dt)) => (bins, dt),
            (Some(bins), None) => (bins, ((longest as f64 + 1.0) / bins as f64 / 1e6).max(SHORTEST)),
            (None, Some(dt)) => ((longest as f64 / microseconds(dt)) as usize + 1, dt),
            (None, None) => {
                return Err(Error::input(
                    "events must be binned into frames: give their number (bins), their duration (dt), or both",
                ));
            }
        };
        let (width, height) = channels(binning.channels, sensor)?;
        let polarities = usize::from(sensor.polarities);
        let of = |from: u16, to: usize, stride: usize| {
            let group = move |x| x * to / usize::from(from) * stride;
            (0..usize::from(from)).map(group).collect::<Vec<usize>>()
        };
        let dims = match (height, polarities) {
            (1, 1) => vec![bins, width],
            _ => vec![bins, height, width, polarities],
        };
        Ok(Grid {
            bins,
            seconds,
            dt: microseconds(seconds),
            columns: of(sensor.width, width, polarities),
            rows: of(sensor.height, height, width * polarities),
            frame: width * height * polarities,
            dims,
            polarities: sensor.polarities,
            presence: binning.presence,
            holds_all: binning.needs_longest(),
        })
    }

    /// Number of elements per sample.
    fn size(&self) -> usize {
        self.bins * self.frame
    }

    /// Zeroed frames.
    fn packed(&self, description: Description, binning: &Binning) -> Result<Packed> {
        let (count, bins) = (description.count, self.bins);
        let size = bins.checked_mul(self.frame).and_then(|size| size.checked_mul(count));
        let is_free = |size: &usize| free_memory().is_none_or(|free| *size as u64 <= free);
        let fits = size.filter(|size| is_free(size) && Vec::<u8>::new().try_reserve_exact(*size).is_ok());
        let Some(size) = fits else {
            let gigabytes = bins as f64 * self.frame as f64 * count as f64 / 1e9;
            let hint = if binning.bins.is_some() { "fewer bins" } else { "a longer dt" };
            let message = format!(
                "{count} samples of {bins} frames of {} bytes take {gigabytes:.0} GB; give {hint} or fewer channels",
                self.frame
            );
            return Err(Error::input(message));
        };
        Ok(Packed {
            // Shared from the start, so that keeping them needs no copy.
            frames: std::iter::repeat_n(0, size).collect(),
            dims: [&[count], self.dims.as_slice()].concat(),
            labels: Vec::new(),
            speakers: Vec::new(),
            binning: Binning { bins: Some(bins), dt: Some(self.seconds), ..binning.clone() },
            description,
            events: 0,
            dropped: Dropped::default(),
            sorted: 0,
        })
    }

    /// Adds a recording's events to its frames.
    fn sum(&self, events: &Events, frames: &mut [u8], dropped: &mut Dropped) {
        let two = self.polarities == 2;
        let places = events.x.iter().zip(&events.y).zip(&events.p);
        for (t, ((x, y), p)) in events.t.iter().zip(places) {
            let mut frame = (*t as f64 / self.dt) as usize;
            // The division may round up to the number of frames.
            if self.holds_all {
                frame = frame.min(self.bins - 1);
            }
            if *t < 0 || frame >= self.bins {
                dropped.without_time += u64::from(*t < 0);
                dropped.late += u64::from(*t >= 0);
                continue;
            }
            let place = self.columns[usize::from(*x)] + self.rows[usize::from(*y)] + usize::from(two & p);
            let element = &mut frames[frame * self.frame + place];
            if self.presence {
                *element = 1;
            } else if *element == u8::MAX {
                dropped.saturated += 1;
            } else {
                *element += 1;
            }
        }
    }
}

/// Seconds to microseconds. Undoes the rounding of decimal fractions in binary, so that 0.0014 s is 1400 us.
fn microseconds(seconds: f64) -> f64 {
    let dt = seconds * 1e6;
    let whole = dt.round();
    if whole > 0.0 && (dt - whole).abs() < 1e-9 * whole { whole } else { dt }
}

/// Columns and rows of a frame.
fn channels(channels: Option<usize>, sensor: Sensor) -> Result<(usize, usize)> {
    let (width, height) = (usize::from(sensor.width), usize::from(sensor.height));
    match channels {
        None => Ok((width, height)),
        Some(channels) if (1..=width).contains(&channels) => Ok((channels, (height * channels).div_ceil(width))),
        Some(channels) => Err(Error::input(format!(
            "channels can only be summed into fewer: {channels} is not between 1 and {width}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duration_of_a_frame_is_what_was_typed() {
        let typed =
            [(0.0014, 1400.0), (0.01, 1e4), (0.001, 1e3), (1e-6, 1.0), (0.0025, 2500.0), (1.0 / 3.0, 1e6 / 3.0)];
        for (seconds, expected) in typed {
            assert_eq!(microseconds(seconds), expected);
        }
    }
}
