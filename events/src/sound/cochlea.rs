//! From sound to spikes: the stages of the ear in a row. Knows nothing of files.

use super::bushy_cell::BushyCells;
use super::filter_bank::{Filters, frequencies};
use super::hair_cell::HairCells;
use super::wav::Sound;
use super::{LANES, Lanes};
use crate::error::{Error, Result};
use crate::events::Events;

/// Share of the sample before that is taken from each: outer and middle ear let high tones through better than low ones.
const EMPHASIS: f32 = 0.95;
/// Root mean square of each recording at the membrane, in the hair cells' units.
const LOUDNESS: f64 = 200.0;
/// How sensitive neighbouring bushy cells are, in turn.
const SENSITIVITIES: [f64; 3] = [0.6, 1.0, 1.6];
/// Most channels, as the Heidelberg data sets have them.
const MOST_CHANNELS: u16 = 700;

/// An artificial cochlea: sound becomes the spikes of bushy cells, one a channel, each of which listens to its own frequency.
///
/// The stages are those of Cramer et al. 2020 and of lauscher, their program, simplified so that there is no randomness (the same sound
/// gives the same spikes) and 2,500 words take seconds:
///
/// 1. *Loudness.* All recordings are made equally loud, as lauscher's `RmsNormalizer` does. Before that each sample loses 0.95 of the one
///    before it, for outer and middle ear, which lauscher leaves to its membrane. Recordings are not faded in and out.
/// 2. *Basilar membrane.* Gammatone filters (Hohmann 2002), as wide as an ear's and equally far apart on its scale (Glasberg and Moore
///    1990), in place of the hydrodynamic model of Sieroka et al. 2006.
/// 3. *Hair cells.* Meddis 1988 with lauscher's constants; stepped implicitly, which holds for sound of 8 kHz, too. They adapt: sound
///    that sets in is heard best.
/// 4. *Bushy cells.* Leaky integrate-and-fire neurons with lauscher's constants (synapses 0.5 ms, refractory for 1 ms, weights) but for
///    the membrane: 3 ms in place of 1 ms, which follows the pitch of a voice less, so that a network trained on some speakers knows
///    more of what others say. In place of 40 fibres that fire at random, each cell hears how often they fire on average. With one
///    threshold for all it would be silent for one half of speech and at its highest rate for the other, as there are no random
///    fibres to soften that; so the sensitivities of neighbours differ (0.6, 1 and 1.6 in turn), as those of the nerve's fibres do
///    (Liberman 1978).
///
/// ```
/// use spiq_events::sound::{Cochlea, Sound};
/// let tone = |i: u16| (f32::from(i) * 440.0 * std::f32::consts::TAU / 8000.0).sin();
/// let sound = Sound { samples: (0..800).map(tone).collect(), rate: 8000 };
/// let cochlea = Cochlea { channels: 70, ..Cochlea::default() };
/// let spikes = cochlea.spikes(&sound)?;
/// let count = |channel: u16| spikes.x.iter().filter(|x| **x == channel).count();
/// let loudest = (0..70).max_by_key(|channel| count(*channel)).expect("channels");
/// assert!((cochlea.frequencies()[usize::from(loudest)] - 440.0).abs() < 60.0 && count(69) == 0);
/// # Ok::<(), spiq_events::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Cochlea {
    /// Number of channels, from 1 to 700.
    pub channels: u16,
    /// Frequency of the first channel, in Hz.
    pub low: f64,
    /// Frequency of the last channel, in Hz; below half the sound's rate.
    pub high: f64,
}

impl Default for Cochlea {
    /// 700 channels, 100 to 3,800 Hz.
    fn default() -> Cochlea {
        Cochlea { channels: MOST_CHANNELS, low: 100.0, high: 3800.0 }
    }
}

impl Cochlea {
    /// The frequency of each channel, in Hz.
    pub fn frequencies(&self) -> Vec<f64> {
        frequencies(self.low, self.high, self.channels.into())
    }

    /// What is wrong with the channels.
    ///
    /// # Errors
    /// `Input` for a number of channels that is not from 1 to 700, or frequencies that do not rise from above 0.
    pub fn check(&self) -> Result<()> {
        let Cochlea { channels, low, high } = self;
        if !(1..=MOST_CHANNELS).contains(channels) {
            return Err(Error::input(format!("a cochlea has from 1 to {MOST_CHANNELS} channels, not {channels}")));
        }
        if !(0.0 < *low && low < high && high.is_finite()) {
            return Err(Error::input(format!(
                "the channels' frequencies go from {low} to {high} Hz, but must rise from above 0"
            )));
        }
        Ok(())
    }

    /// What goes on in one channel: each stage, sample by sample.
    ///
    /// # Errors
    /// `Input` as for [`spikes`](Cochlea::spikes), and for a channel that is not there.
    pub fn channel(&self, sound: &Sound, channel: u16) -> Result<Channel> {
        let rate = self.check_rate(sound)?;
        if channel >= self.channels {
            return Err(Error::input(format!("there is no channel {channel}; there are {}", self.channels)));
        }
        let (first, lane) = (channel / LANES as u16 * LANES as u16, usize::from(channel) % LANES);
        let mut group = Group::new(self, first, rate);
        let mut inside = Channel { sound: heard(sound), ..Channel::default() };
        for sample in &inside.sound {
            let (motion, rates, fire) = group.step(*sample);
            inside.motion.push(motion[lane]);
            inside.rates.push(rates[lane]);
            inside.fires.push(fire >> lane & 1 == 1);
        }
        Ok(inside)
    }

    /// The sound's samples a second, where they suffice for the channels.
    fn check_rate(&self, sound: &Sound) -> Result<f64> {
        self.check()?;
        let rate = f64::from(sound.rate);
        if self.high >= rate / 2.0 {
            return Err(Error::input(format!(
                "{rate} samples a second hold no tones above {} Hz; the highest channel must be below that, not at {}",
                rate / 2.0,
                self.high
            )));
        }
        Ok(rate)
    }

    /// The spikes of a recording, times from its start. Silence gives none.
    ///
    /// # Errors
    /// `Input` for channels that do not fit each other, or that listen to what the sound's rate cannot hold.
    pub fn spikes(&self, sound: &Sound) -> Result<Events> {
        let rate = self.check_rate(sound)?;
        let heard = heard(sound);
        let mut spikes = Vec::new();
        for first in (0..self.channels).step_by(LANES) {
            let mut group = Group::new(self, first, rate);
            for (place, sample) in (0..).zip(&heard) {
                let (_, _, mut fire) = group.step(*sample);
                while fire != 0 {
                    spikes.push((place, first + fire.trailing_zeros() as u16));
                    fire &= fire - 1;
                }
            }
        }
        // From channels one after the other to times one after the other.
        spikes.sort_unstable();
        let mut events = Events::default();
        for (place, channel) in spikes {
            events.push((f64::from(place) / rate * 1e6).round() as i64, channel, 0, true);
        }
        Ok(events)
    }
}

/// What goes on in a channel of a cochlea, a number for each sample of the sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    /// The sound as it comes to the membrane: equally loud for all recordings.
    pub sound: Vec<f32>,
    /// The membrane's motion at the channel's place, in the hair cells' units.
    pub motion: Vec<f32>,
    /// How often each fibre of the hair cell fires a second.
    pub rates: Vec<f32>,
    /// Whether the bushy cell fires.
    pub fires: Vec<bool>,
}

/// Sound as it comes to the membrane.
fn heard(sound: &Sound) -> Vec<f32> {
    let before = std::iter::once(&0.0).chain(&sound.samples);
    let mut heard: Vec<f32> = sound.samples.iter().zip(before).map(|(now, before)| now - EMPHASIS * before).collect();
    let power = heard.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / heard.len().max(1) as f64;
    if power > 0.0 {
        let gain = (LOUDNESS / power.sqrt()) as f32;
        heard.iter_mut().for_each(|sample| *sample *= gain);
    }
    heard
}

/// The stages of some neighbouring channels.
struct Group {
    filters: Filters,
    hair_cells: HairCells,
    bushy_cells: BushyCells,
    /// A bit for each lane that is a channel; the others are computed, too, and not looked at.
    channels: u32,
}

impl Group {
    /// The channels from `first` on, for so many samples a second.
    fn new(cochlea: &Cochlea, first: u16, rate: f64) -> Group {
        let frequencies = &cochlea.frequencies()[first.into()..];
        let frequency = |lane: usize| frequencies.get(lane).copied().unwrap_or(frequencies[0]);
        let sensitivity = |lane: usize| SENSITIVITIES[(usize::from(first) + lane) % SENSITIVITIES.len()] as f32;
        Group {
            filters: Filters::new(&std::array::from_fn(frequency), rate),
            hair_cells: HairCells::new(rate),
            bushy_cells: BushyCells::new(&std::array::from_fn(sensitivity), rate),
            channels: (1 << frequencies.len().min(LANES)) - 1,
        }
    }

    /// What the next sample of sound does: the membrane's motion, the fibres' spikes a second, and which channels fire, a bit each.
    #[inline]
    fn step(&mut self, sound: f32) -> (Lanes, Lanes, u32) {
        let motion = self.filters.step(sound);
        let rates = self.hair_cells.step(&motion);
        (motion, rates, self.bushy_cells.step(&rates) & self.channels)
    }
}
