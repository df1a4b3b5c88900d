//! Samples from a key: uniform, normal, Bernoulli, permutations.

use std::f32::consts::SQRT_2;

use super::key::Key;
use super::special::{erf, erf_inv};

impl Key {
    /// `n` numbers in [min, max) (`jax.random.uniform`).
    ///
    /// They have 23 random bits each, and the sum with `min` may round up to `max`, as in JAX.
    ///
    /// ```
    /// let draw = spiq::random::Key::new(0).uniform(2, -1.0, 1.0);
    /// assert_eq!(draw, [0.895334, 0.95715976]);
    /// ```
    pub fn uniform(self, n: usize, min: f32, max: f32) -> Vec<f32> {
        self.uniform_each(n, min, max).collect()
    }

    /// `n` samples from the standard normal distribution (`jax.random.normal`).
    ///
    /// ```
    /// assert_eq!(spiq::random::Key::new(0).normal(2), [1.6226422, 2.0252647]);
    /// ```
    pub fn normal(self, n: usize) -> Vec<f32> {
        // Starts just above -1, where the inverse is infinite.
        self.uniform_each(n, (-1f32).next_up(), 1.0).map(|u| SQRT_2 * erf_inv(u)).collect()
    }

    /// `n` samples from the standard normal distribution truncated to the open interval from `lower` to `upper`
    /// (`jax.random.truncated_normal`). NaN if the interval is empty.
    ///
    /// ```
    /// let draw = spiq::random::Key::new(0).truncated_normal(1000, -0.5, 0.5);
    /// assert!(draw.iter().all(|x| -0.5 < *x && *x < 0.5));
    /// ```
    pub fn truncated_normal(self, n: usize, lower: f32, upper: f32) -> Vec<f32> {
        // XLA rewrites the division by √2 to this product.
        const RECIPROCAL: f32 = 1.0 / SQRT_2;
        let (first, last) = (lower.next_up(), upper.next_down());
        let inside = move |x: f32| if lower < upper { x.max(first).min(last) } else { f32::NAN };
        let samples = self.uniform_each(n, erf(lower * RECIPROCAL), erf(upper * RECIPROCAL));
        samples.map(|u| inside(SQRT_2 * erf_inv(u))).collect()
    }

    /// `n` draws that are true with probability `p` (`jax.random.bernoulli`).
    ///
    /// ```
    /// let draw = spiq::random::Key::new(0).bernoulli(10_000, 0.2);
    /// assert_eq!(draw.iter().filter(|hit| **hit).count(), 2006);
    /// ```
    pub fn bernoulli(self, n: usize, p: f32) -> Vec<bool> {
        self.uniform_each(n, 0.0, 1.0).map(|u| u < p).collect()
    }

    /// One draw for each probability (`jax.random.bernoulli` with an array).
    pub fn bernoulli_each(self, probabilities: &[f32]) -> Vec<bool> {
        self.uniform_each(probabilities.len(), 0.0, 1.0).zip(probabilities).map(|(u, p)| u < *p).collect()
    }

    /// The numbers below `n` in random order (`jax.random.permutation`).
    ///
    /// ```
    /// assert_eq!(spiq::random::Key::new(0).permutation(5), [0, 1, 4, 3, 2]);
    /// ```
    pub fn permutation(self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// Shuffles the values: applies [`Key::permutation`] to them.
    pub fn shuffle<T>(self, values: &mut Vec<T>) {
        // Sorts by random 32-bit words, often enough that two values are unlikely to draw equal words every time. Equal words keep
        // the order of their values, so the sort must be stable.
        let mut key = self;
        for _ in 0..rounds(values.len()) {
            let (next, words) = key.pair();
            let mut tagged: Vec<(u32, T)> = words.words32(values.len()).zip(values.drain(..)).collect();
            tagged.sort_by_key(|(word, _)| *word);
            values.extend(tagged.into_iter().map(|(_, value)| value));
            key = next;
        }
    }

    fn uniform_each(self, n: usize, min: f32, max: f32) -> impl Iterator<Item = f32> {
        // The bits become the mantissa of a number in [1, 2). One fused multiply-add scales it, as in XLA's compiled code.
        let span = max - min;
        let unit = |bits: u32| f32::from_bits(bits >> 9 | 1f32.to_bits()) - 1.0;
        self.words32(n).map(move |bits| unit(bits).mul_add(span, min).max(min))
    }
}

/// JAX's number of sorting rounds: 3 ln n / ln 2³², rounded up.
pub(super) fn rounds(n: usize) -> usize {
    (3.0 * (n.max(1) as f64).ln() / f64::from(u32::MAX).ln()).ceil() as usize
}
