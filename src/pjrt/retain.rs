//! Asks the C library to keep freed memory for the next allocation. Knows nothing of who allocates.

use std::ffi::c_int;
use std::sync::Once;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
unsafe extern "C" {
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
}

/// From now on large blocks come from memory that the process keeps.
///
/// XLA allocates what a run needs on every run. By default the C library takes blocks of more than 32 MB from the system and
/// gives them back at once, so that every run pays for fresh, zeroed pages: about half of the time of an elementwise program.
pub fn freed_memory() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        for parameter in [TRIM_THRESHOLD, MMAP_THRESHOLD] {
            // SAFETY: the function takes two numbers and may be called at any time; a refusal changes nothing.
            unsafe { mallopt(parameter, c_int::MAX) };
        }
    });
}

/// `M_TRIM_THRESHOLD` of `malloc.h`: free memory at the end of the heap above which it is given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD: c_int = -1;

/// `M_MMAP_THRESHOLD`: the size of blocks that are taken from the system one by one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: c_int = -3;
