//! Spike codes and their arguments, as plain data; the encoding itself is part of the compiled step.

use std::fmt;

use spiq_events::{Described, calls, named};

use crate::error::{Error, Result};

named! {
    /// A spike code, with snnTorch's or Spyx's name and arguments. Values range from 0 to 1: pixels divided by the largest value.
    #[derive(Copy)]
    pub enum Code, "encoder";
    /// At each time step, a value x spikes with probability x · `max_r`, independently of other steps and values (Spyx's rate_code,
    /// snnTorch's rate).
    Rate {
        /// Spike probability of a value of 1.
        max_r: f64 = 1,
    }
    /// Each value x spikes once, larger values earlier: after tau · log(x / (x - threshold)) steps, or with `linear` after tau · (1 - x)
    /// (snnTorch's latency; Spyx's latency_code is linear, normalize and clip combined). Values up to `threshold` spike last, or with
    /// `clip` never; `normalize` stretches the times so that the last spike is in the last step. Spikes past the last step are dropped.
    Latency {
        /// Time constant, in steps.
        tau: f64 = 1,
        /// The smallest value that is distinguished from 0.
        threshold: f64 = 0.01,
        /// The step in which a value of 1 spikes, with `linear`.
        first_spike_time: usize = 0,
        /// Whether the last spike is in the last step.
        normalize: bool = false,
        /// Whether times are linear in the value.
        linear: bool = false,
        /// Whether values below the threshold are silent.
        clip: bool = false,
    }
    /// For values over time: a value spikes in each step in which it rises by `threshold` or more (snnTorch's delta); with `off_spike`, the
    /// spike is -1 where it falls by that much.
    Delta {
        /// The smallest change that spikes.
        threshold: f64 = 0.1,
        /// Whether the value before the first step equals that of the first step, instead of 0.
        padding: bool = false,
        /// Whether there are spikes of -1.
        off_spike: bool = false,
    }
    /// Each value becomes `neuron_count` neurons, which divide the range from `min_val` to `max_val`; in each step, only the neuron whose
    /// part contains the value spikes (Spyx's angle_code).
    Angle {
        /// Neurons per value.
        neuron_count: usize,
        /// Start of the first neuron's part.
        min_val: f64 = 0,
        /// Start of the last neuron's part.
        max_val: f64 = 1,
    }
    /// Each value becomes `neuron_count` neurons with Gaussian activations around evenly spaced centres (Bohte et al. 2002). Each neuron
    /// spikes once, earlier for higher activations and not at all below `threshold`; without `latency`, it spikes in each step with the
    /// activation as its probability.
    Population {
        /// Neurons per value, at least 3.
        neuron_count: usize,
        /// How narrow the Gaussians are.
        beta: f64 = 1.5,
        /// The smallest value.
        min_val: f64 = 0,
        /// The largest value.
        max_val: f64 = 1,
        /// Activations below it are silent; only used with `latency`.
        threshold: f64 = 0.1,
        /// Whether activations determine spike times instead of probabilities.
        latency: bool = true,
    }
}

impl Code {
    /// Parses a code from a text such as `Latency(tau = 5)`.
    ///
    /// # Errors
    /// Of kind `Input` for an unknown name (with the nearest one), an unknown key or an invalid value.
    ///
    /// ```
    /// use spiq::data::Code;
    /// assert_eq!(Code::parse("Angle(neuron_count = 8)")?.text(), "Angle(neuron_count = 8, min_val = 0, max_val = 1)");
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Code> {
        let refused = |error: spiq_events::Error| Error::input(error.to_string());
        match calls(text).map_err(refused)?.as_slice() {
            [call] => Code::of(call).map_err(refused)?.checked(),
            _ => Err(Error::input(format!(
                "`{text}` is not a single encoder; available: {}",
                Code::TABLE.iter().map(|row: &Described| row.name).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The code, if its arguments are valid.
    fn checked(self) -> Result<Code> {
        let wants = |key: &str, fits: bool, range: &str| {
            let message = || Error::input(format!("`{key}` of `{}` must be {range}", self.text()));
            fits.then_some(self).ok_or_else(message)
        };
        let within = |x: f64| 0.0 < x && x < 1.0;
        // More neurons per value are a mistake, and their number must fit in memory.
        let neurons = |count: usize, least: usize| (least..=4096).contains(&count);
        match self {
            Code::Rate { max_r } => wants("max_r", 0.0 < max_r && max_r <= 1.0, "above 0 and at most 1"),
            Code::Latency { tau, threshold, .. } => {
                wants("tau", tau > 0.0, "above 0")?;
                wants("threshold", within(threshold), "between 0 and 1")
            }
            Code::Delta { threshold, .. } => wants("threshold", threshold > 0.0, "above 0"),
            Code::Angle { neuron_count, min_val, max_val } => {
                wants("neuron_count", neurons(neuron_count, 2), "from 2 to 4096")?;
                wants("max_val", max_val > min_val, "above `min_val`")
            }
            Code::Population { neuron_count, beta, min_val, max_val, threshold, .. } => {
                wants("neuron_count", neurons(neuron_count, 3), "from 3 to 4096")?;
                wants("beta", beta > 0.0, "above 0")?;
                wants("threshold", within(threshold), "between 0 and 1")?;
                wants("max_val", max_val > min_val, "above `min_val`")
            }
        }
    }

    /// Neurons per value; `None` for one.
    pub(crate) fn neurons(self) -> Option<usize> {
        match self {
            Code::Angle { neuron_count, .. } | Code::Population { neuron_count, .. } => Some(neuron_count),
            Code::Rate { .. } | Code::Latency { .. } | Code::Delta { .. } => None,
        }
    }

    /// Whether it applies to values that change over time.
    pub(crate) fn is_for_time(self) -> bool {
        matches!(self, Code::Delta { .. } | Code::Angle { .. })
    }

    /// Whether it applies to values that do not.
    pub(crate) fn is_for_images(self) -> bool {
        !matches!(self, Code::Delta { .. })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// A spike code for values that do not change over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoder {
    /// The value that counts as 1; positive. Larger values also count as 1, negative ones as 0.
    pub max: f32,
    /// How values become spikes.
    pub code: Code,
}

impl Encoder {
    /// The rate code for 8-bit images, with 255 as white.
    pub const BYTES: Encoder = Encoder::rate(255.0);
    /// The rate code for the digits, whose pixels go up to 16.
    pub const DIGITS: Encoder = Encoder::rate(16.0);

    /// At each time step an element spikes with probability value / `max`, independently of other steps and elements. Values above `max`
    /// always spike, negative ones never.
    pub const fn rate(max: f32) -> Encoder {
        Encoder { max, code: Code::Rate { max_r: 1.0 } }
    }
}
