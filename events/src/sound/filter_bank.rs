//! The basilar membrane: one filter per channel.

use std::f64::consts::TAU;

use super::{LANES, Lanes};

/// The number of one-pole filters in cascade, which is the order of the gammatone filter.
const ORDER: usize = 4;

/// Gammatone filters of neighbouring channels: cascaded complex one-pole filters, whose real part is the membrane's motion.
///
/// Source: V. Hohmann, "Frequency analysis and synthesis using a Gammatone filterbank", Acta Acustica 88, 2002.
pub(super) struct Filters {
    pole: [Lanes; 2],
    /// Normalizes the gain to 1 at a filter's own frequency.
    gain: Lanes,
    state: [[Lanes; 2]; ORDER],
}

impl Filters {
    /// Filters around these frequencies, in Hz, for `rate` samples per second.
    pub(super) fn new(frequencies: &[f64; LANES], rate: f64) -> Filters {
        // A filter of this order is narrower than its poles by a factor of 1.019.
        let radius = frequencies.map(|f| (-TAU * 1.019 * bandwidth(f) / rate).exp());
        let pole = |part: fn(f64) -> f64| {
            std::array::from_fn(|lane| (radius[lane] * part(TAU * frequencies[lane] / rate)) as f32)
        };
        Filters {
            pole: [pole(f64::cos), pole(f64::sin)],
            gain: radius.map(|radius| (1.0 - radius) as f32),
            state: [[[0.0; LANES]; 2]; ORDER],
        }
    }

    /// The membrane's motion at each channel after the next sample of sound.
    #[inline]
    pub(super) fn step(&mut self, sound: f32) -> Lanes {
        let [pole_re, pole_im] = &self.pole;
        // Doubled, because half of a real tone is at the negative frequency.
        let mut input = [[2.0 * sound; LANES], [0.0; LANES]];
        for [re, im] in &mut self.state {
            for lane in 0..LANES {
                let new_re = pole_re[lane] * re[lane] - pole_im[lane] * im[lane] + self.gain[lane] * input[0][lane];
                let new_im = pole_re[lane] * im[lane] + pole_im[lane] * re[lane] + self.gain[lane] * input[1][lane];
                (re[lane], im[lane]) = (new_re, new_im);
            }
            input = [*re, *im];
        }
        input[0]
    }
}

/// The equivalent rectangular bandwidth of an ear's filter at a frequency, both in Hz.
///
/// Source: B. R. Glasberg and B. C. J. Moore, "Derivation of auditory filter shapes from notched-noise data", Hearing Research 47,
/// 1990.
fn bandwidth(frequency: f64) -> f64 {
    24.7 * (4.37e-3 * frequency + 1.0)
}

/// Frequencies from `low` to `high`, equally spaced on the membrane: each step is the same number of bandwidths.
pub(super) fn frequencies(low: f64, high: f64, channels: usize) -> Vec<f64> {
    let place = |f: f64| (4.37e-3 * f + 1.0).ln();
    let (first, last) = (place(low), place(high));
    let at = |channel: usize| first + (last - first) * channel as f64 / (channels.max(2) - 1) as f64;
    (0..channels).map(|channel| (at(channel).exp() - 1.0) / 4.37e-3).collect()
}
