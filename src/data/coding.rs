//! How samples are coded for a network: as images, spikes, counts or numbers.

use std::fmt;

use super::encoder::Encoder;

/// What the samples of a data set are to a network: it decides whether they are rounded, as integers never are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coding {
    /// Images, of which an encoder makes spikes.
    Images(Encoder),
    /// Trains of spikes: 0 or 1.
    Spikes,
    /// Small counts of events: integers from 0 to 127.
    Counts,
    /// Any numbers.
    Reals,
}

impl Coding {
    /// The coding of this name, as it is displayed.
    ///
    /// ```
    /// use spiq::data::{Coding, Encoder};
    /// for coding in [Coding::Images(Encoder::DIGITS), Coding::Spikes, Coding::Counts, Coding::Reals] {
    ///     assert_eq!(Coding::from_name(&coding.to_string()), Some(coding));
    /// }
    /// ```
    pub fn from_name(name: &str) -> Option<Coding> {
        if let Some(max) = name.strip_prefix(RATE) {
            let usable = max.parse().ok().filter(|max: &f32| max.is_finite() && *max > 0.0);
            return usable.map(|max| Coding::Images(Encoder::Rate { max }));
        }
        [Coding::Spikes, Coding::Counts, Coding::Reals].into_iter().find(|coding| coding.to_string() == name)
    }
}

/// What the name of a rate code starts with, before its largest value.
const RATE: &str = "images, rate 1 at ";

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Coding::Images(Encoder::Rate { max }) => write!(f, "{RATE}{max}"),
            Coding::Spikes => f.write_str("spikes"),
            Coding::Counts => f.write_str("counts"),
            Coding::Reals => f.write_str("reals"),
        }
    }
}
