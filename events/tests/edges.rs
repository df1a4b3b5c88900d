//! Frames at the edges: sensors, numbers of frames and of events at which types end. Each is summed as exact arithmetic sums it, or refused
//! in one sentence.

use std::time::{Duration, Instant};

use spiq_events::{
    Binning, Collection, Description, Events, Mended, Pipeline, Result, Sample, Sensor, free_memory, pack,
};

/// Samples in memory.
struct InMemory {
    description: Description,
    samples: Vec<Events>,
    next: usize,
}

impl InMemory {
    fn of(sensor: Sensor, samples: Vec<Events>) -> InMemory {
        let (count, none) = (samples.len(), Vec::new);
        let description = Description {
            format: "test",
            sensor,
            count,
            classes: none(),
            speakers: none(),
            train: None,
            validation: 0,
        };
        InMemory { description, samples, next: 0 }
    }
}

impl Iterator for InMemory {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        let events = self.samples.get(self.next)?.clone();
        self.next += 1;
        Some(Ok(Sample { events, label: Some(0), speaker: None, mended: Mended::default() }))
    }
}

impl Collection for InMemory {
    fn description(&self) -> &Description {
        &self.description
    }

    fn restart(&mut self) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}

fn packed(sensor: Sensor, samples: Vec<Events>, binning: &Binning) -> Result<spiq_events::Packed> {
    pack(Box::new(InMemory::of(sensor, samples)), &Pipeline::default(), binning, &mut |_, _| ())
}

/// As many events in one element as u8, u16 and more hold: none wraps.
#[test]
fn many_events_in_one_bin_are_counted_or_said_to_be_left_out() {
    for count in [1u64, 254, 255, 256, 257, 65_535, 65_536, 1_000_000] {
        let mut events = Events::default();
        (0..count).for_each(|_| events.push(7, 3, 0, true));
        let binning = Binning { bins: Some(1), dt: Some(1.0), ..Binning::default() };
        let all = packed(Sensor::cochlea(4), vec![events.clone()], &binning).unwrap();
        assert_eq!(*all.frames, [0, 0, 0, count.min(255) as u8]);
        assert_eq!((all.events, all.dropped.saturated), (count, count.saturating_sub(255)));
        let present = packed(Sensor::cochlea(4), vec![events], &Binning { presence: true, ..binning }).unwrap();
        assert_eq!((&*present.frames, present.dropped.saturated), ([0, 0, 0, 1].as_slice(), 0));
    }
}

#[test]
fn no_samples_are_refused_and_samples_without_events_are_frames_of_zeros() {
    let binning = Binning { bins: Some(2), ..Binning::default() };
    let refused = packed(Sensor::cochlea(4), vec![], &binning).unwrap_err().to_string();
    assert_eq!(refused, "the data set has no samples");
    let silent = packed(Sensor::cochlea(1), vec![Events::default(); 3], &binning).unwrap();
    assert_eq!((silent.dims.as_slice(), &*silent.frames), ([3, 2, 1].as_slice(), [0; 6].as_slice()));
}

/// Where an event belongs, in numbers that do not overflow; `None` behind the last frame.
fn place(sensor: Sensor, binning: &Binning, [t, x, y, p]: [i64; 4]) -> Option<u128> {
    let (width, height, polarities) = (sensor.width as u128, sensor.height as u128, sensor.polarities as u128);
    let columns = binning.channels.map_or(width, |channels| channels as u128);
    let rows = (height * columns).div_ceil(width);
    let frame = t as u128 / (binning.dt.unwrap() * 1e6) as u128;
    let p = if polarities == 2 { p as u128 } else { 0 };
    let within = (y as u128 * rows / height * columns + x as u128 * columns / width) * polarities + p;
    (frame < binning.bins.unwrap() as u128).then_some(frame * rows * columns * polarities + within)
}

/// The corners of large sensors, in the first and last frames: each event in its element.
#[test]
fn sensors_and_frames_at_the_edges_hold_each_event_or_are_refused() {
    /// What a case may take, and what a sum of frames may.
    const LIMIT: Duration = Duration::from_secs(20);
    const MOST: u128 = 1 << 26;
    let sides = [1u16, 2, 3, 255, 256, 257, 65_534, 65_535];
    let (mut taken, mut refused) = (0, 0);
    let begun = Instant::now();
    for width in sides {
        for height in sides {
            for (polarities, bins, channels) in [
                (1, 1, None),
                (2, 1, None),
                (2, 3, Some(1)),
                (1, 1 << 31, None),
                (2, usize::MAX, Some(2)),
                (1, 7, Some(0)),
            ] {
                let sensor = Sensor { width, height, polarities };
                let binning = Binning { bins: Some(bins), dt: Some(1e-6), channels, presence: false };
                let corners = [[0, 0, 0, 0], [2, i64::from(width) - 1, i64::from(height) - 1, 1]];
                let mut events = Events::default();
                corners.iter().for_each(|&[t, x, y, p]| events.push(t, x as u16, y as u16, p == 1));
                let columns = channels.map_or(u128::from(width), |channels| channels as u128);
                let rows = (u128::from(height) * columns).div_ceil(u128::from(width));
                let size = columns * rows * u128::from(polarities) * bins as u128;
                // What fits into memory but would be slow to fill is not filled here.
                if size > MOST && free_memory().is_none_or(|free| size <= u128::from(free)) {
                    continue;
                }
                match packed(sensor, vec![events], &binning) {
                    Ok(packed) => {
                        let places = corners.map(|corner| place(sensor, &binning, corner));
                        assert_eq!(packed.frames.len() as u128, size);
                        let expected = places.iter().flatten().count() as u64;
                        assert_eq!(packed.frames.iter().map(|count| u64::from(*count)).sum::<u64>(), expected);
                        assert!(places.iter().flatten().all(|place| packed.frames[*place as usize] > 0), "{sensor:?}");
                        taken += 1;
                    }
                    Err(error) => {
                        let said = error.to_string();
                        assert!(
                            said.contains("give fewer bins") || said.contains("channels can only be summed"),
                            "{said}"
                        );
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(taken > 100 && refused > 60, "{taken} taken, {refused} refused");
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
}

/// A count for each pixel of the largest sensor that a file can claim would take 34 GB.
#[test]
fn a_sensor_that_nobody_builds_is_not_surveyed() {
    let survey = |width, height| {
        let sensor = Sensor { width, height, polarities: 2 };
        spiq_events::survey(Box::new(InMemory::of(sensor, vec![Events::default()])), &mut |_, _| ())
    };
    assert_eq!(survey(1280, 720).unwrap().by_channel.len(), 1280 * 720);
    let refused = survey(65_535, 65_535).unwrap_err().to_string();
    assert!(
        refused.starts_with("a sensor of 65535 x 65535 pixels is too large to count its events by pixel"),
        "{refused}"
    );
}
