//! The memory bandwidth of this machine, as a bound for kernels that read and write much and compute little.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

/// Bytes that each thread copies: more than its share of the caches.
const BYTES: usize = 1 << 26;
/// Copies of which the fastest counts.
const COPIES: usize = 3;

/// Bytes per second, reads and writes together, that all cores copy at once from arrays larger than the caches.
///
/// ```
/// assert!(spiq::bench::memory_bandwidth() > 1e8);
/// ```
pub fn memory_bandwidth() -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(copy)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
    })
}

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
