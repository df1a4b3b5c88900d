//! The speed of additions, as a bound for kernels.

use std::hint::black_box;
use std::time::Instant;

use crate::vector::{self, InstructionSet, Work};

/// Additions per second of f32 elements in registers by one thread, with this CPU's widest vector instructions. Additions of s32 are as fast or
/// faster.
pub fn additions_per_second() -> f64 {
    let mut fastest = 0.0f64;
    for _ in 0..TRIES {
        let start = Instant::now();
        vector::run(Additions);
        fastest = fastest.max((ROUNDS * SUMS * WIDTH) as f64 / start.elapsed().as_secs_f64());
    }
    fastest
}

/// Measurements of which the fastest counts.
const TRIES: usize = 5;
const ROUNDS: usize = 1 << 18;
/// Independent sums, as many as fit into sixteen registers of eight elements: enough that no addition waits for another.
const SUMS: usize = 7;
const WIDTH: usize = 16;

struct Additions;

impl Work for Additions {
    #[inline(always)]
    fn run(self, _: impl InstructionSet) {
        let more = black_box([1.0f32; WIDTH]);
        let mut sums = black_box([[0.0f32; WIDTH]; SUMS]);
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                for (sum, more) in sum.iter_mut().zip(&more) {
                    *sum += more;
                }
            }
        }
        black_box(sums);
    }
}
