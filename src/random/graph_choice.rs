//! Gumbel and exponential samples, and choices made of them, inside a traced program.

use spiq_hlo::{DType, Tensor, Violation};

use super::graph::GraphKey;

impl GraphKey {
    /// Samples from the standard Gumbel distribution (`jax.random.gumbel`).
    #[track_caller]
    pub fn gumbel(&self, dims: &[usize]) -> Tensor {
        self.uniform(dims, f32::MIN_POSITIVE, 1.0).log().negate().log().negate()
    }

    /// Samples from the exponential distribution with mean 1 (`jax.random.exponential`).
    #[track_caller]
    pub fn exponential(&self, dims: &[usize]) -> Tensor {
        self.uniform(dims, 0.0, 1.0).negate().log1p().negate()
    }

    /// For each row of `logits` along `axis` a class, `s32`, with the probability `softmax(logits)` (`jax.random.categorical`). Broadcast
    /// the logits for several draws of each row.
    #[track_caller]
    pub fn categorical(&self, logits: &Tensor, axis: isize) -> Tensor {
        (self.gumbel(logits.dims()).convert(logits.dtype()) + logits).argmax(axis)
    }

    /// Numbers below `n` with replacement, `s32`, each with its probability `p` (f32 of shape `[n]`), or all with the same one
    /// (`jax.random.choice`).
    ///
    /// # Errors
    /// Recorded in the trace: `p` of another shape.
    #[track_caller]
    pub fn choice(&self, n: usize, dims: &[usize], p: Option<&Tensor>) -> Tensor {
        let Some(p) = p else { return self.randint(DType::S32, dims, 0, n as i128) };
        if let Some(poison) = refused(p, n) {
            return poison;
        }
        let cumulative = p.cumsum(0);
        let total = cumulative.index_axis(0, n - 1);
        let thresholds = (1.0 - self.uniform(dims, 0.0, 1.0)) * total;
        // Counts the cumulative sums below each threshold.
        let below = cumulative.lt(thresholds.expand_dims(-1));
        below.reduce_sum(-1)
    }

    /// `draws` different numbers below `n`, `s32`, each with its probability `p` (f32 of shape `[n]`), or all with the same one
    /// (`jax.random.choice(replace=False)`).
    ///
    /// # Errors
    /// Recorded in the trace: more draws than numbers, `p` of another shape.
    #[track_caller]
    pub fn choice_without_replacement(&self, n: usize, draws: usize, p: Option<&Tensor>) -> Tensor {
        if draws > n {
            let message = format!("{draws} different numbers cannot be drawn from {n}");
            return self.graph().fail("choice", Violation::new("", message));
        }
        match p {
            None => self.permutation(n).slice_axis(0, 0, draws),
            Some(p) => refused(p, n).unwrap_or_else(|| (self.gumbel(&[n]) + p.log()).top_k(draws).1),
        }
    }
}

/// Poison where `p` has another shape than `[n]`.
#[track_caller]
fn refused(p: &Tensor, n: usize) -> Option<Tensor> {
    if p.is_poison() || (p.dims() == [n] && n > 0) {
        return p.is_poison().then(|| p.clone());
    }
    let message = format!("probabilities of {n} numbers have the shape [{n}], not {}", p.ty());
    Some(p.graph().fail("choice", Violation::new("", message)))
}
