//! The command's allocator: mimalloc serves every allocation, including the plugin's, and keeps freed memory.
//!
//! XLA allocates a run's memory on every run, from any of its threads. The C library returns large blocks to the system, so that every run
//! pays for fresh, zeroed pages; compiling threads also contend for its locks.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`: milliseconds after which freed memory goes back to the system.
const PURGE_DELAY: mi_option_t = 15;

/// Stops returning freed memory to the system.
pub fn keep_freed() {
    const NEVER: std::ffi::c_long = -1;
    // SAFETY: the option exists, and may be set at any time.
    unsafe { mi_option_set(PURGE_DELAY, NEVER) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options have numbers, not names: this is the one whose default is one second.
    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads a number.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, 1000);
        keep_freed();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, -1);
    }
}
