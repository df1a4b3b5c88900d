//! The speed of this machine's memory and of its additions, as bounds for kernels.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use spiq_kernels::run;

/// What this machine can do in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Bytes, reads and writes together, that all cores copy at once from arrays larger than the caches.
    pub bytes: f64,
    /// Additions of f32 elements in registers, by all cores at once, with the widest vector instructions.
    pub operations: f64,
}

/// What bounds a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Its bytes.
    Memory,
    /// Its operations.
    Operations,
}

impl Machine {
    /// Measures this machine.
    ///
    /// ```
    /// let machine = spiq::bench::Machine::measure();
    /// assert!(machine.bytes > 1e8 && machine.operations > 1e8);
    /// ```
    pub fn measure() -> Machine {
        Machine { bytes: on_all_cores(copy), operations: on_all_cores(run::additions_per_second) }
    }

    /// The shortest time in which this machine accesses these bytes and performs these operations, both at once, and the longer one of the two.
    ///
    /// ```
    /// use std::time::Duration;
    /// use spiq::bench::{Bound, Machine};
    /// let machine = Machine { bytes: 1e9, operations: 1e10 };
    /// assert_eq!(machine.least(5_000_000, 10_000_000), (Duration::from_millis(5), Bound::Memory));
    /// assert_eq!(machine.least(5_000_000, 80_000_000), (Duration::from_millis(8), Bound::Operations));
    /// ```
    pub fn least(&self, bytes: u64, operations: u64) -> (Duration, Bound) {
        let [memory, computing] = [bytes as f64 / self.bytes, operations as f64 / self.operations];
        let bound = if memory >= computing { Bound::Memory } else { Bound::Operations };
        (Duration::try_from_secs_f64(memory.max(computing)).unwrap_or(Duration::MAX), bound)
    }
}

/// The sum of what a thread per core measures, all at the same time.
fn on_all_cores(measure: fn() -> f64) -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(measure)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
    })
}

/// Bytes that each thread copies: more than its share of the caches.
const BYTES: usize = 1 << 26;
/// Copies of which the fastest counts.
const COPIES: usize = 3;

/// Bytes per second of one thread.
fn copy() -> f64 {
    let (from, mut to) = (vec![1u8; BYTES], vec![2u8; BYTES]);
    let mut shortest = f64::INFINITY;
    for _ in 0..COPIES {
        let start = Instant::now();
        black_box(&mut to).copy_from_slice(black_box(&from));
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    2.0 * BYTES as f64 / shortest
}
