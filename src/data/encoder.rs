//! How images become spikes, as plain data. Knows nothing of graphs: the encoding itself is part of the compiled step.

/// A spike code for values that do not change over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encoder {
    /// Rate code: at each time step an element spikes with probability value / `max`, independently of other steps and
    /// elements. Values above `max` spike always, negative ones never.
    Rate {
        /// The value that always spikes; positive.
        max: f32,
    },
}

impl Encoder {
    /// The rate code of 8-bit images, 255 being white.
    pub const BYTES: Encoder = Encoder::Rate { max: 255.0 };
    /// The rate code of the digits, whose pixels go up to 16.
    pub const DIGITS: Encoder = Encoder::Rate { max: 16.0 };
}
