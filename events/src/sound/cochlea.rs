//! The artificial cochlea: runs sound through the stages of the ear to spikes.

use super::bushy_cell::BushyCells;
use super::filter_bank::{Filters, frequencies};
use super::hair_cell::HairCells;
use super::wav::Sound;
use super::{LANES, Lanes};
use crate::error::{Error, Result};
use crate::events::Events;

/// Coefficient of the pre-emphasis filter: the outer and middle ear pass high tones better than low ones.
const EMPHASIS: f32 = 0.95;
/// Root mean square of each recording at the membrane, in the hair cells' units.
const LOUDNESS: f64 = 200.0;
/// Sensitivities of neighbouring bushy cells, repeating.
const SENSITIVITIES: [f64; 3] = [0.6, 1.0, 1.6];
/// The largest number of channels, as in the Heidelberg data sets.
const MOST_CHANNELS: u16 = 700;

/// An artificial cochlea: converts sound to the spikes of bushy cells, one per channel, each tuned to its own frequency.
///
/// The stages are those of Cramer et al. 2020 and of their program lauscher, simplified so that they are deterministic (the same sound
/// gives the same spikes) and 2,500 words take seconds:
///
/// 1. *Loudness.* All recordings are normalized to the same loudness, like lauscher's `RmsNormalizer`. Before that, a pre-emphasis
///    filter subtracts 0.95 of the previous sample, for the outer and middle ear, which lauscher leaves to its membrane. Recordings
///    are not faded in and out.
/// 2. *Basilar membrane.* Gammatone filters (Hohmann 2002) with the bandwidths of an ear, equally spaced on its scale (Glasberg and
///    Moore 1990), instead of the hydrodynamic model of Sieroka et al. 2006.
/// 3. *Hair cells.* Meddis 1988 with lauscher's constants, integrated implicitly, which is also stable for sound sampled at 8 kHz.
///    They adapt: the onset of a sound gives the strongest response.
/// 4. *Bushy cells.* Leaky integrate-and-fire neurons with lauscher's constants (synapses 0.5 ms, refractory period 1 ms, weights)
///    except for the membrane: 3 ms instead of 1 ms, which follows the pitch of a voice less, so that a network trained on some
///    speakers generalizes better to others. Instead of 40 randomly firing fibres, each cell receives their mean rate. With a
///    common threshold it would be silent for one half of speech and saturated for the other, since no random fibres smooth that;
///    so the sensitivities of neighbours differ (0.6, 1 and 1.6, repeating), as those of nerve fibres do (Liberman 1978).
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
    /// Number of channels, 1 to 700.
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

    /// Validates the channels.
    ///
    /// # Errors
    /// `Input` for a number of channels outside 1 to 700, or frequencies that do not increase from above 0.
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

    /// The signals in one channel after each stage, sample by sample.
    ///
    /// # Errors
    /// `Input` as for [`spikes`](Cochlea::spikes), and for a channel out of range.
    pub fn channel(&self, sound: &Sound, channel: u16) -> Result<Channel> {
        let rate = self.check_rate(sound)?;
        if channel >= self.channels {
            return Err(Error::input(format!("there is no channel {channel}; the cochlea has {}", self.channels)));
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

    /// The sound's sample rate, if it suffices for the channels.
    fn check_rate(&self, sound: &Sound) -> Result<f64> {
        self.check()?;
        let rate = f64::from(sound.rate);
        if self.high >= rate / 2.0 {
            return Err(Error::input(format!(
                "at {rate} samples per second there are no tones above {} Hz; the highest channel must be below that, not at {}",
                rate / 2.0,
                self.high
            )));
        }
        Ok(rate)
    }

    /// The spikes of a recording, with times from its start. Silence gives none.
    ///
    /// # Errors
    /// `Input` for invalid channels, or channels above half the sound's sample rate.
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
        // From channel order to time order.
        spikes.sort_unstable();
        let mut events = Events::default();
        for (place, channel) in spikes {
            events.push((f64::from(place) / rate * 1e6).round() as i64, channel, 0, true);
        }
        Ok(events)
    }
}

/// The signals of one cochlea channel, one number per sample of the sound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    /// The sound at the membrane, normalized to the same loudness for all recordings.
    pub sound: Vec<f32>,
    /// The membrane's motion at the channel, in the hair cells' units.
    pub motion: Vec<f32>,
    /// Firing rate of each of the hair cell's fibres, in spikes per second.
    pub rates: Vec<f32>,
    /// Whether the bushy cell fires.
    pub fires: Vec<bool>,
}

/// The sound at the membrane.
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

/// The stages of neighbouring channels.
struct Group {
    filters: Filters,
    hair_cells: HairCells,
    bushy_cells: BushyCells,
    /// A bit for each lane that is a channel; results of the other lanes are ignored.
    channels: u32,
}

impl Group {
    /// The channels from `first` on, for `rate` samples per second.
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

    /// Processes the next sample: the membrane's motion, the fibres' rates in spikes per second, and the channels that fire, one bit
    /// each.
    #[inline]
    fn step(&mut self, sound: f32) -> (Lanes, Lanes, u32) {
        let motion = self.filters.step(sound);
        let rates = self.hair_cells.step(&motion);
        (motion, rates, self.bushy_cells.step(&rates) & self.channels)
    }
}
