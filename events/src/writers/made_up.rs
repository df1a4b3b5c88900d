//! A data set that is made up, to try and to measure with where the real ones cannot be had.

use std::path::Path;

use super::shd::{Names, Spikes, write_spikes};
use crate::error::{Error, Result};

/// Speakers of what is made up.
const SPEAKERS: u16 = 10;
/// The most samples, and the most spikes of one and of all on average: a file of some 40 GB.
const MOST: [u64; 3] = [1_000_000, 1_000_000, 10_000_000_000];
/// Seconds of a recording, of the shortest and the longest.
const SECONDS: [f32; 2] = [0.5, 1.0];

/// Samples of classes that can be told apart: a class is three tones that glide over the channels in its own way, a speaker moves
/// them by a few channels, and a fifth of the spikes lies anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeUp {
    /// Number of samples.
    pub samples: usize,
    /// Spikes of a sample on average; each sample has between half and one and a half times as many.
    pub events: usize,
    /// Number of classes.
    pub classes: u16,
    /// Number of channels.
    pub channels: u16,
    /// How many of the first samples train.
    pub train: usize,
    /// The number of the first sample: a file of those from 100 on has none in common with a file of the first 100.
    pub first: usize,
    /// Seed of all that is random: the same gives the same samples.
    pub seed: u64,
}

impl MadeUp {
    /// Writes them in the layout of SHD.
    ///
    /// # Errors
    /// `Input` without samples, classes or channels, with more samples or spikes than fit a disk, or with more samples that train
    /// than there are; `File` when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.write_while(path, || Ok(()))
    }

    /// As [`write`](MadeUp::write), and asks before each sample whether to go on.
    ///
    /// # Errors
    /// As [`write`](MadeUp::write); the first error of `go_on`, and then nothing is left of the file.
    pub fn write_while(&self, path: &Path, mut go_on: impl FnMut() -> Result<()>) -> Result<()> {
        self.check()?;
        let names = Names {
            channels: self.channels,
            classes: (0..self.classes).map(|class| format!("class {class}")).collect(),
            speakers: (0..SPEAKERS).map(|speaker| format!("speaker {speaker}")).collect(),
            train: Some(self.train),
        };
        write_spikes(
            path,
            &names,
            (0..self.samples as u64)
                .map(|sample| go_on().map(|()| self.sample((self.first as u64).wrapping_add(sample)))),
        )
    }

    fn check(&self) -> Result<()> {
        if self.classes == 0 || self.channels == 0 {
            return Err(Error::input("a data set needs a class and a channel at least"));
        }
        let [samples, events, all] = MOST;
        let (wanted, of_each) = (self.samples as u64, self.events as u64);
        if !(1..=samples).contains(&wanted) {
            return Err(Error::input(format!("{wanted} samples cannot be made; give a number from 1 to {samples}")));
        }
        if of_each > events {
            return Err(Error::input(format!("{of_each} events of a sample cannot be made; give {events} at most")));
        }
        if wanted * of_each > all {
            let (gigabytes, fewer) = (wanted * of_each * 4 / 1_000_000_000, all / wanted);
            return Err(Error::input(format!(
                "{wanted} samples of {of_each} events take {gigabytes} GB; give fewer samples, or {fewer} events at most"
            )));
        }
        match self.train > self.samples {
            true => Err(Error::input(format!("{} samples to train are more than the {wanted} there are", self.train))),
            false => Ok(()),
        }
    }

    fn sample(&self, number: u64) -> Spikes {
        let mut random = Random::new(self.seed, number.wrapping_mul(2));
        let (label, speaker) = (random.below(self.classes.into()) as u16, random.below(SPEAKERS.into()) as u16);
        // The tones of a class are drawn from its number alone.
        let mut class = Random::new(self.seed, 2 * u64::from(label) + 1);
        let tones: [[f32; 3]; 3] = std::array::from_fn(|_| [class.unit(), class.unit(), class.unit()]);
        let shift = (f32::from(speaker) / f32::from(SPEAKERS) - 0.5) * 0.04;
        let length = SECONDS[0] + (SECONDS[1] - SECONDS[0]) * random.unit();
        let count = self.events / 2 + random.below(self.events as u64 + 1) as usize;
        let mut times: Vec<f32> = (0..count).map(|_| random.unit() * length).collect();
        times.sort_by(f32::total_cmp);
        let unit = |time: &f32| {
            let place = match random.below(5) {
                0 => random.unit(),
                tone => {
                    let [start, bend, end] = tones[tone as usize % 3];
                    let at = time / length;
                    let glide = start * (1.0 - at) * (1.0 - at) + 2.0 * bend * at * (1.0 - at) + end * at * at;
                    // The sum of three is near enough to a bell.
                    glide + shift + 0.04 * (random.unit() + random.unit() + random.unit() - 1.5)
                }
            };
            let channels = f32::from(self.channels);
            (place * channels).clamp(0.0, channels - 1.0) as u16
        };
        let units = times.iter().map(unit).collect();
        Spikes { times, units, label, speaker }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Random {
        // Mixed twice, so that neighbouring streams share nothing.
        let mixed = Random(seed).next().wrapping_add(stream);
        Random(Random(mixed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, 1 excluded.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A number below one that is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}
