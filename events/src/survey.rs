//! Statistics of a collection: durations, event counts, and events per channel.

use super::collection::{Collection, Description, Mended};
use super::error::{Error, Result};
use super::events::{Events, Sensor};

/// Counts over all samples of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// The collection.
    pub description: Description,
    /// Each sample, in file order.
    pub samples: Vec<Surveyed>,
    /// Events per channel, summed over polarities; for a sensor with rows, in row-major order.
    pub by_channel: Vec<u64>,
    /// Events with rising brightness.
    pub rises: u64,
    /// Events dropped because they have no valid time.
    pub without_time: u64,
    /// Samples that were not sorted by time.
    pub sorted: u64,
}

/// The counts of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surveyed {
    /// The class.
    pub label: Option<u32>,
    /// The speaker or subject.
    pub speaker: Option<u32>,
    /// Number of events.
    pub events: u64,
    /// Seconds from 0 to the last event.
    pub seconds: f64,
}

/// Pixels of the largest sensor of which events are counted by pixel.
const MOST_CHANNELS: usize = 1 << 24;

/// Summary statistics, all 0 for no numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The statistics of `numbers`.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { return Spread::default() };
        let middle = |back: usize| sorted[(sorted.len() - back) / 2];
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        Spread { min: *min, median: (middle(0).min(*max) + middle(1)) / 2.0, mean, max: *max }
    }
}

/// Surveys all samples of a collection. `progress` receives the number done and the total.
///
/// # Errors
/// The collection's errors; `Input` for a sensor larger than any that is built.
pub fn survey(mut collection: Box<dyn Collection>, progress: &mut dyn FnMut(usize, usize)) -> Result<Survey> {
    let description = collection.description().clone();
    let (count, sensor) = (description.count, description.sensor);
    let channels = usize::from(sensor.width) * usize::from(sensor.height);
    if channels > MOST_CHANNELS {
        let Sensor { width, height, .. } = sensor;
        return Err(Error::input(format!(
            "a sensor of {width} x {height} pixels is too large to count its events by pixel; at most {MOST_CHANNELS} pixels are counted"
        )));
    }
    let mut survey = Survey {
        description,
        samples: Vec::new(),
        by_channel: vec![0; channels],
        rises: 0,
        without_time: 0,
        sorted: 0,
    };
    for (place, sample) in collection.by_ref().enumerate() {
        let sample = sample?;
        let seconds = sample.events.t.last().map_or(0.0, |t| *t as f64 / 1e6);
        let events = sample.events.len() as u64;
        survey.samples.push(Surveyed { label: sample.label, speaker: sample.speaker, events, seconds });
        survey.add(&sample.events, sensor, sample.mended);
        progress(place + 1, count);
    }
    Ok(survey)
}

impl Survey {
    fn add(&mut self, events: &Events, sensor: Sensor, mended: Mended) {
        let width = usize::from(sensor.width);
        for (x, y) in events.x.iter().zip(&events.y) {
            self.by_channel[usize::from(*y) * width + usize::from(*x)] += 1;
        }
        self.rises += events.p.iter().filter(|rises| **rises).count() as u64;
        self.without_time += mended.without_time;
        self.sorted += u64::from(mended.sorted);
    }

    /// Total number of events.
    pub fn events(&self) -> u64 {
        self.samples.iter().map(|sample| sample.events).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, mean: 2.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([7.0]), Spread { min: 7.0, median: 7.0, mean: 7.0, max: 7.0 });
        assert_eq!(Spread::of([]), Spread::default());
    }
}
