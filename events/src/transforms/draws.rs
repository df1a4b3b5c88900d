//! Random numbers for one sample, a function of the seed and the sample's index only.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::arguments::Span;

/// The random draws for one sample. The formulas are written out here, so that no library version changes them.
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    /// The draws for a sample; each sample has its own stream.
    pub(super) fn of(seed: u64, sample: u64) -> Draws {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        stream.set_stream(sample);
        Draws(stream)
    }

    /// Uniform in [0, 1), with 53 bits.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in the span.
    pub(super) fn of_span(&mut self, span: Span) -> f64 {
        if span.is_one() { span.low } else { span.at(self.unit()) }
    }

    /// A whole number below `end`, which must be at least 1.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The upper half of the product: for ends that fit an array, the bias is at most 2^-32.
        ((u128::from(self.0.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// True with probability `p`.
    pub(super) fn happens(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Two independent standard normal numbers (Box and Muller).
    pub(super) fn normals(&mut self) -> (f64, f64) {
        // In (0, 1], because the logarithm of 0 is infinite.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.unit();
        (radius * angle.cos(), radius * angle.sin())
    }
}
