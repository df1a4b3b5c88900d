//! How samples become spikes, as plain data. Knows nothing of graphs: the encoding itself is part of the compiled step.

use std::fmt;

use spiq_events::{Described, calls, named};

use crate::error::{Error, Result};

named! {
    /// A spike code, with snnTorch's or Spyx's name and arguments. Values are from 0 to 1: pixels divided by the largest value.
    #[derive(Copy)]
    pub enum Code, "encoder";
    /// At each time step a value x spikes with probability x · `max_r`, independently of other steps and values (Spyx's
    /// rate_code, snnTorch's rate).
    Rate {
        /// The probability with which a value of 1 spikes.
        max_r: f64 = 1,
    }
    /// Each value x spikes once, large ones early: after tau · log(x / (x - threshold)) steps, or with `linear` after tau · (1 - x)
    /// (snnTorch's latency; Spyx's latency_code is linear, normalize and clip together). Values up to `threshold` spike last, with
    /// `clip` never; `normalize` stretches that until the last step. What would come later is left out.
    Latency {
        /// Time constant, in steps.
        tau: f64 = 1,
        /// The smallest value that is told apart.
        threshold: f64 = 0.01,
        /// The step in which a value of 1 spikes with `linear`.
        first_spike_time: usize = 0,
        /// Whether the last spike comes in the last step.
        normalize: bool = false,
        /// Whether times are linear.
        linear: bool = false,
        /// Whether values below the threshold are silent.
        clip: bool = false,
    }
    /// Of values over time: each spikes in a step in which it is greater than in the one before by `threshold` or more (snnTorch's
    /// delta); with `off_spike` it is -1 where it is smaller by as much.
    Delta {
        /// The change.
        threshold: f64 = 0.1,
        /// Whether the value before the first step is that of the first step, instead of 0.
        padding: bool = false,
        /// Whether there are spikes of -1.
        off_spike: bool = false,
    }
    /// Each value becomes `neuron_count` neurons, of which the one spikes, in each step, in whose part of the range from `min_val`
    /// to `max_val` it lies (Spyx's angle_code).
    Angle {
        /// Neurons a value.
        neuron_count: usize,
        /// Where the first neuron's part begins.
        min_val: f64 = 0,
        /// Where the last neuron's part begins.
        max_val: f64 = 1,
    }
    /// Each value becomes `neuron_count` neurons, whose activation is a bell around a value of their own (Bohte and others 2002):
    /// one spike each, the earlier the higher the activation, none below `threshold`; or spikes with this probability in each
    /// step.
    Population {
        /// Neurons a value, at least 3.
        neuron_count: usize,
        /// How narrow the bells are.
        beta: f64 = 1.5,
        /// The smallest value.
        min_val: f64 = 0,
        /// The largest value.
        max_val: f64 = 1,
        /// Activations below it are silent; counts with `latency` alone.
        threshold: f64 = 0.1,
        /// Whether activations are times instead of probabilities.
        latency: bool = true,
    }
}

impl Code {
    /// The code of a text such as `Latency(tau = 5)`.
    ///
    /// # Errors
    /// Of kind `Input` for a name, a key or a value that cannot be, with the nearest name.
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
                "`{text}` is not one encoder; known are {}",
                Code::TABLE.iter().map(|row: &Described| row.name).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The code, if its arguments can be.
    fn checked(self) -> Result<Code> {
        let wants = |key: &str, fits: bool, range: &str| {
            let message = || Error::input(format!("`{key}` of `{}` must be {range}", self.text()));
            fits.then_some(self).ok_or_else(message)
        };
        let within = |x: f64| 0.0 < x && x < 1.0;
        // More neurons a value are a mistake, and their number must fit memory.
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

    /// Neurons that a value becomes; `None` where it stays one.
    pub(crate) fn neurons(self) -> Option<usize> {
        match self {
            Code::Angle { neuron_count, .. } | Code::Population { neuron_count, .. } => Some(neuron_count),
            Code::Rate { .. } | Code::Latency { .. } | Code::Delta { .. } => None,
        }
    }

    /// Whether it is for values that change over time.
    pub(crate) fn is_for_time(self) -> bool {
        matches!(self, Code::Delta { .. } | Code::Angle { .. })
    }

    /// Whether it is for values that do not.
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
    /// The value that counts as 1; positive. Values above it count as 1 as well, negative ones as 0.
    pub max: f32,
    /// How values become spikes.
    pub code: Code,
}

impl Encoder {
    /// The rate code of 8-bit images, 255 being white.
    pub const BYTES: Encoder = Encoder::rate(255.0);
    /// The rate code of the digits, whose pixels go up to 16.
    pub const DIGITS: Encoder = Encoder::rate(16.0);

    /// At each time step an element spikes with probability value / `max`, independently of other steps and elements. Values above
    /// `max` spike always, negative ones never.
    pub const fn rate(max: f32) -> Encoder {
        Encoder { max, code: Code::Rate { max_r: 1.0 } }
    }
}
