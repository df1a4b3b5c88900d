//! Synthetic data sets for trying and benchmarking when the real ones are unavailable.

use std::path::Path;

use super::shd::{Names, Spikes, write_spikes};
use crate::error::{Error, Result};

/// Number of synthetic speakers.
const SPEAKERS: u16 = 10;
/// Limits: samples, spikes per sample, and spikes on average in total, a file of about 40 GB.
const MOST: [u64; 3] = [1_000_000, 1_000_000, 10_000_000_000];
/// The shortest and longest recording, in seconds.
const SECONDS: [f32; 2] = [0.5, 1.0];

/// Synthetic samples with distinguishable classes: a class is three tones that glide over the channels in their own way, a speaker
/// shifts them by a few channels, and a fifth of the spikes are uniform noise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeUp {
    /// Number of samples.
    pub samples: usize,
    /// Average number of spikes per sample; each sample has between 0.5 and 1.5 times as many.
    pub events: usize,
    /// Number of classes.
    pub classes: u16,
    /// Number of channels.
    pub channels: u16,
    /// Number of leading samples that train.
    pub train: usize,
    /// Index of the first sample: a file that starts at 100 shares no sample with a file of the first 100.
    pub first: usize,
    /// Random seed; the same seed gives the same samples.
    pub seed: u64,
}

impl MadeUp {
    /// Writes the samples in the layout of SHD.
    ///
    /// # Errors
    /// `Input` without samples, classes or channels, with more samples or spikes than fit on a disk, or with more training samples than
    /// samples; `File` if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.write_while(path, || Ok(()))
    }

    /// Like [`write`](MadeUp::write), but asks before each sample whether to continue.
    ///
    /// # Errors
    /// As [`write`](MadeUp::write); the first error of `go_on`, after which no file is left.
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
            return Err(Error::input("a data set needs at least one class and one channel"));
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
            true => Err(Error::input(format!("{} training samples are more than the {wanted} samples", self.train))),
            false => Ok(()),
        }
    }

    fn sample(&self, number: u64) -> Spikes {
        let mut random = Random::new(self.seed, number.wrapping_mul(2));
        let (label, speaker) = (random.below(self.classes.into()) as u16, random.below(SPEAKERS.into()) as u16);
        // The tones of a class depend only on its number and the seed.
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
                    // The sum of three approximates a bell curve.
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
        // Mixed twice, so that neighbouring streams are unrelated.
        let mixed = Random(seed).next().wrapping_add(stream);
        Random(Random(mixed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A number below `limit`, which must not be 0.
    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}
