//! From sound to spikes.

use super::bushy_cell::{BushyCells, Neuron};
use super::filter_bank::{Filters, frequencies};
use super::hair_cell::HairCells;
use super::wav::Sound;
use super::{LANES, Lanes};
use crate::error::{Error, Result};
use crate::events::Events;

/// A cochlea.
#[derive(Clone, Debug, PartialEq)]
pub struct Cochlea {
    pub channels: usize,
    pub low: f64,
    pub high: f64,
    pub width: f64,
    pub emphasis: f32,
    pub loudness: f32,
    pub loud_part: bool,
    pub sensitivities: Vec<f64>,
    pub membrane: f64,
    pub synapse: f64,
    pub refractory: f64,
    pub weight: f64,
    pub fatigue: f64,
    pub recovery: f64,
}

impl Default for Cochlea {
    fn default() -> Cochlea {
        Cochlea {
            channels: 700,
            low: 100.0,
            high: 3800.0,
            width: 1.0,
            emphasis: 0.95,
            loudness: 300.0,
            loud_part: false,
            sensitivities: vec![1.0],
            membrane: 1e-3,
            synapse: 0.5e-3,
            refractory: 1e-3,
            weight: 6.5e-3,
            fatigue: 0.0,
            recovery: 10e-3,
        }
    }
}

impl Cochlea {
    /// The spikes.
    pub fn spikes(&self, sound: &Sound) -> Result<Events> {
        if self.high >= f64::from(sound.rate) / 2.0 {
            return Err(Error::input("too high"));
        }
        let rate = f64::from(sound.rate);
        let heard = self.heard(sound);
        let frequencies = frequencies(self.low, self.high, self.channels);
        let mut spikes: Vec<(u32, u16)> = Vec::new();
        for (block, group) in frequencies.chunks(LANES).enumerate() {
            let mut own = [100.0; LANES];
            own[..group.len()].copy_from_slice(group);
            let present = (1u32 << group.len()) - 1;
            let first = block * LANES;
            let sensitivity: Lanes = std::array::from_fn(|lane| self.sensitivities[(first + lane) % self.sensitivities.len()] as f32);
            let neuron = Neuron { membrane: self.membrane, synapse: self.synapse, refractory: self.refractory, weight: self.weight, fatigue: self.fatigue, recovery: self.recovery };
            let mut filters = Filters::new(&own, self.width, rate);
            let mut hair_cells = HairCells::new(rate);
            let mut neurons = BushyCells::new(&neuron, sensitivity, rate);
            for (time, sample) in heard.iter().enumerate() {
                let mut fires = neurons.step(&hair_cells.step(&filters.step(*sample))) & present;
                while fires != 0 {
                    let lane = fires.trailing_zeros() as usize;
                    fires &= fires - 1;
                    spikes.push((time as u32, (first + lane) as u16));
                }
            }
        }
        spikes.sort_unstable();
        let mut events = Events::default();
        for (time, channel) in spikes {
            events.push((f64::from(time) / rate * 1e6).round() as i64, channel, 0, true);
        }
        Ok(events)
    }

    fn heard(&self, sound: &Sound) -> Vec<f32> {
        let before = std::iter::once(&0.0).chain(&sound.samples);
        let mut heard: Vec<f32> = sound.samples.iter().zip(before).map(|(now, before)| now - self.emphasis * before).collect();
        let frame = (sound.rate / 50) as usize;
        let square = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
        let power = if self.loud_part {
            let mut powers: Vec<f32> = heard.chunks(frame).map(square).collect();
            powers.sort_by(f32::total_cmp);
            let loud = &powers[powers.len() * 3 / 4..];
            loud.iter().sum::<f32>() / loud.len() as f32
        } else { square(&heard) };
        if power > 0.0 {
            let gain = self.loudness / power.sqrt();
            heard.iter_mut().for_each(|x| *x *= gain);
        }
        heard
    }
}
