//! How samples are presented to a network: as images, spikes, counts or real numbers.

use std::fmt;

use super::encoder::{Code, Encoder};

/// The kind of input that the samples of a data set are to a network. It decides whether they are quantized: integers never are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coding {
    /// Images, which an encoder turns into spikes.
    Images(Encoder),
    /// Trains of spikes: 0 or 1.
    Spikes,
    /// Small event counts: integers from 0 to 127.
    Counts,
    /// Any numbers.
    Reals,
    /// Numbers over time, which a code turns into spikes.
    Values(Code),
}

impl Coding {
    /// The coding with this name, as displayed.
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
    /// Neurons per value; `None` for one.
    pub(crate) fn neurons(self) -> Option<usize> {
        match self {
            Coding::Images(Encoder { code, .. }) | Coding::Values(code) => code.neurons(),
            Coding::Spikes | Coding::Counts | Coding::Reals => None,
        }
    }

    /// The code that turns the samples into spikes; `None` if they are used unchanged.
    pub fn code(self) -> Option<Code> {
        match self {
            Coding::Images(Encoder { code, .. }) | Coding::Values(code) => Some(code),
            Coding::Spikes | Coding::Counts | Coding::Reals => None,
        }
    }
}

/// Prefix of a rate code's name, before the largest value.
const RATE: &str = "images, rate 1 at ";

/// Prefix of the name of any other image code, before the largest value and the code.
const IMAGES: &str = "images, 1 at ";
/// Prefix of the name of a code for values over time.
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
