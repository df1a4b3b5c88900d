//! Equalization: reduces the effect of the microphone and its distance on a recording.

use spiq_hlo::{Array, Tensor};

use super::arguments::{described, layer};
use super::layer::Layer;
use super::step::Step;

layer! {
    /// Divides each channel of a sample by a power of its mean over time, then scales the whole sample to a mean of 1. A spoken
    /// word then depends less on the microphone, the distance and the voice, and more on the word.
    ///
    /// Means are taken over the steps with any input and smoothed over channels by a Gaussian. In training, each sample's power
    /// is drawn from `exponent - vary` to `exponent + vary`. The layer needs the whole sample: a network that has to answer
    /// while the sample is still running cannot use it.
    ///
    /// Shapes: x [T, B, channels], nonnegative, to the same. Related to the mean normalization of spectra in speech recognition
    /// (Atal 1974), but with a power, since the mean of a word also depends on the word.
    ///
    /// ```
    /// use spiq::nn::{Equalize, Layer};
    /// assert_eq!(Equalize::new(47).output(&[47]), Ok(vec![47]));
    /// ```
    pub struct Equalize = "Equalize" {
        needs {
            /// Size of the last axis.
            channels: usize,
        }
        takes {
            /// The power: 0 leaves the channels unchanged, 1 makes their means equal.
            exponent: f64 = 0.5,
            /// The largest distance of a sample's power from `exponent` in training.
            vary: f64 = 0.0,
            /// The standard deviation of the Gaussian that smooths the means, in channels.
            smoothing: f64 = 5.0,
            /// The fraction of the mean over all channels that is added to each channel's mean.
            floor: f64 = 0.3,
        }
    }
}

impl Equalize {
    /// The layer with its defaults.
    pub fn new(channels: usize) -> Equalize {
        Equalize::with_defaults(channels)
    }

    /// The weights of neighbouring channels in a smoothed mean, [channels, channels]; each column sums to 1.
    fn shares(&self) -> Array {
        let bell = |from: usize, to: usize| (-0.5 * ((from as f64 - to as f64) / self.smoothing).powi(2)).exp();
        let sum = |to: usize| (0..self.channels).map(|from| bell(from, to)).sum::<f64>();
        let sums: Vec<f64> = (0..self.channels).map(sum).collect();
        let places = (0..self.channels).flat_map(|from| (0..self.channels).map(move |to| (from, to)));
        let shares: Vec<f32> = places.map(|(from, to)| (bell(from, to) / sums[to]) as f32).collect();
        Array::new([self.channels, self.channels], shares).expect("one share per pair of channels")
    }
}

impl Layer for Equalize {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        let numbers = [("exponent", self.exponent), ("vary", self.vary), ("floor", self.floor)];
        match numbers.into_iter().find(|(_, number)| *number < 0.0) {
            Some((name, number)) => Err((name, format!("is {number}, but must be 0 or more"))),
            None if self.smoothing <= 0.0 => Err(("smoothing", format!("is {}, but must be above 0", self.smoothing))),
            None if self.channels > MOST => {
                Err(("channels", format!("is {}, but must be at most {MOST}", self.channels)))
            }
            None => Ok(()),
        }
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.channels]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match input {
            [size] if *size == self.channels || *size == 0 => Ok(vec![self.channels]),
            _ => Err(format!("takes [{}]", self.channels)),
        }
    }
    fn draws(&self) -> bool {
        self.vary > 0.0
    }
    fn spans_time(&self) -> bool {
        true
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        x.clone()
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        if x.is_poison() {
            return x.clone();
        }
        let batch = x.dims()[1];
        let active = x.reduce_sum([2]).gt(0.0).convert(x.dtype()).reduce_sum([0]).reshape(&[batch, 1]);
        let means = x.reduce_sum([0]) / (&active + 1e-3);
        // A sum instead of a matrix product, so that no quantization rule applies to it.
        let wide = [batch, self.channels, self.channels];
        let shares = x.graph().constant(&self.shares()).broadcast_in_dim(&wide, &[1, 2]);
        let smooth = (means.broadcast_in_dim(&wide, &[0, 1]) * shares).reduce_sum([1]);
        let all = smooth.reduce_mean([1]).reshape(&[batch, 1]);
        // The constant avoids division by zero for a sample without input.
        let divisor = smooth + self.floor * all + 1e-2;
        let drawn = if self.draws() { at.key() } else { None };
        let powered = match drawn {
            None => (divisor.log() * -self.exponent).exp(),
            Some(key) => {
                let (low, high) = (self.exponent - self.vary, self.exponent + self.vary);
                let power = key.uniform(&[batch, 1], low as f32, high as f32);
                (divisor.log() * power.negate()).exp()
            }
        };
        let even = x * powered.reshape(&[1, batch, self.channels]);
        let count = (active + 1.0) * self.channels as f64;
        let loudness = count / (even.reduce_sum([0, 2]).reshape(&[batch, 1]) + 1.0);
        even * loudness.reshape(&[1, batch, 1])
    }
}

/// The largest number of channels: the smoothing weights are a matrix over pairs of channels.
const MOST: usize = 4096;
