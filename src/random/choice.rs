//! Gumbel and exponential samples, and choices made of them, on the host.

use super::key::Key;

impl Key {
    /// `n` samples from the standard Gumbel distribution (`jax.random.gumbel`).
    pub fn gumbel(self, n: usize) -> Vec<f32> {
        self.uniform(n, f32::MIN_POSITIVE, 1.0).into_iter().map(|u| -(-u.ln()).ln()).collect()
    }

    /// `n` samples from the exponential distribution with mean 1 (`jax.random.exponential`).
    pub fn exponential(self, n: usize) -> Vec<f32> {
        self.uniform(n, 0.0, 1.0).into_iter().map(|u| -(-u).ln_1p()).collect()
    }

    /// `n` classes, each with the probability `softmax(logits)` (`jax.random.categorical`).
    pub fn categorical(self, n: usize, logits: &[f32]) -> Vec<i32> {
        let noise = self.gumbel(n * logits.len());
        noise
            .chunks(logits.len().max(1))
            .map(|noise| largest(noise.iter().zip(logits).map(|(g, logit)| g + logit)))
            .collect()
    }

    /// `draws` numbers below `n` with replacement, each with its probability `p`, or all with the same one (`jax.random.choice`).
    ///
    /// ```
    /// assert_eq!(spiq::random::Key::new(0).choice(4, 2, Some(&[0.0, 1.0])), [1; 4]);
    /// ```
    pub fn choice(self, draws: usize, n: usize, p: Option<&[f32]>) -> Vec<i32> {
        let Some(p) = p else { return self.randint(draws, 0, n as i128) };
        let cumulative: Vec<f32> = p
            .iter()
            .scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            })
            .collect();
        let total = cumulative.last().copied().unwrap_or(0.0);
        let place = |u: f32| cumulative.partition_point(|sum| *sum < total * (1.0 - u)) as i32;
        self.uniform(draws, 0.0, 1.0).into_iter().map(place).collect()
    }
}

/// The index of the largest value, the first of equals.
fn largest(values: impl Iterator<Item = f32>) -> i32 {
    let best = values.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(index, _)| index as i32)
}
