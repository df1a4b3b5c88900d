//! Makes the C library keep freed memory for later allocations.

use std::ffi::c_int;
use std::sync::Once;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
}

/// Allocates large blocks from memory that the process retains, from now on.
///
/// XLA allocates a run's memory on every run. By default the C library maps blocks of more than 32 MB from the system and
/// unmaps them when they are freed, so every run pays for fresh, zeroed pages: about half the time of an elementwise program.
pub fn freed_memory() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        for parameter in [TRIM_THRESHOLD, MMAP_THRESHOLD] {
            // SAFETY: the function takes two numbers and may be called at any time; a failure changes nothing.
            unsafe { mallopt(parameter, c_int::MAX) };
        }
    });
}

/// `M_TRIM_THRESHOLD` of `malloc.h`: the amount of free memory at the top of the heap above which it is returned to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD: c_int = -1;

/// `M_MMAP_THRESHOLD`: the block size above which each block is mapped from the system separately.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: c_int = -3;
