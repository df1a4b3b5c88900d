//! For tests: threads in turn, and numbers whose sums depend on their order.

use super::{Pool, Task};

/// That many threads, simulated sequentially.
pub(super) struct InTurn(pub(super) usize);

impl Pool for InTurn {
    fn workers(&self) -> usize {
        self.0
    }

    fn run_all(&self, tasks: Vec<Task<'_>>) -> bool {
        tasks.into_iter().for_each(|task| task());
        true
    }
}

/// Irregular fractions, so that another summation order gives different sums.
pub(super) fn noise(i: usize) -> f32 {
    (i.wrapping_mul(2_654_435_761) >> 7) as u32 as f32 / 1e9
}
