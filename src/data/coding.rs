//! How samples are coded for a network: as images, spikes, counts or numbers.

use std::fmt;

use super::encoder::{Code, Encoder};

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
    /// Numbers over time, of which a code makes spikes.
    Values(Code),
}

impl Coding {
    /// The coding of this name, as it is displayed.
    ///
    /// ```
    /// use spiq::data::{Code, Coding, Encoder};
    /// let latency = Encoder { code: Code::parse("Latency(tau = 5)")?, ..Encoder::BYTES };
    /// for coding in [Coding::Images(Encoder::DIGITS), Coding::Images(latency), Coding::Spikes, Coding::Counts, Coding::Reals] {
    ///     assert_eq!(Coding::from_name(&coding.to_string()), Some(coding));
    /// }
    /// # Ok::<(), spiq::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Option<Coding> {
        let usable = |max: &str| max.parse().ok().filter(|max: &f32| max.is_finite() && *max > 0.0);
        if let Some(max) = name.strip_prefix(RATE) {
            return usable(max).map(|max| Coding::Images(Encoder::rate(max)));
        }
        if let Some((max, code)) = name.strip_prefix(IMAGES).and_then(|rest| rest.split_once(", ")) {
            return Some(Coding::Images(Encoder { max: usable(max)?, code: Code::parse(code).ok()? }));
        }
        if let Some(code) = name.strip_prefix(VALUES) {
            return Code::parse(code).ok().map(Coding::Values);
        }
        [Coding::Spikes, Coding::Counts, Coding::Reals].into_iter().find(|coding| coding.to_string() == name)
    }
}

impl Coding {
    /// Neurons that a value becomes; `None` where it stays one.
    pub(crate) fn neurons(self) -> Option<usize> {
        match self {
            Coding::Images(Encoder { code, .. }) | Coding::Values(code) => code.neurons(),
            Coding::Spikes | Coding::Counts | Coding::Reals => None,
        }
    }

    /// The code that makes spikes of the samples; `None` where they are taken as they are.
    pub fn code(self) -> Option<Code> {
        match self {
            Coding::Images(Encoder { code, .. }) | Coding::Values(code) => Some(code),
            Coding::Spikes | Coding::Counts | Coding::Reals => None,
        }
    }
}

/// What the name of a rate code starts with, before its largest value.
const RATE: &str = "images, rate 1 at ";

/// What the name of another code of images starts with, before its largest value and the code.
const IMAGES: &str = "images, 1 at ";
/// What that of a code of values over time starts with.
const VALUES: &str = "values, ";

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Coding::Images(encoder) if *encoder == Encoder::rate(encoder.max) => write!(f, "{RATE}{}", encoder.max),
            Coding::Images(Encoder { max, code }) => write!(f, "{IMAGES}{max}, {code}"),
            Coding::Values(code) => write!(f, "{VALUES}{code}"),
            Coding::Spikes => f.write_str("spikes"),
            Coding::Counts => f.write_str("counts"),
            Coding::Reals => f.write_str("reals"),
        }
    }
}
