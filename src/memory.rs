//! The command's memory: every allocation, the plugin's too, comes from mimalloc, which keeps what is freed. Knows nothing of
//! who allocates.
//!
//! XLA allocates what a run needs on every run, from any of its threads. The C library gives large blocks back to the system,
//! so that every run pays for fresh, zeroed pages; threads that compile wait for each other there, too.

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`: milliseconds after which freed memory goes back to the system.
const PURGE_DELAY: mi_option_t = 15;

/// From now on nothing that is freed goes back to the system before the end.
pub fn keep_freed() {
    const NEVER: std::ffi::c_long = -1;
    // SAFETY: the option exists, and may be set at any time.
    unsafe { mi_option_set(PURGE_DELAY, NEVER) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An option has a number, not a name: this is the one whose default is a second.
    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads a number.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, 1000);
        keep_freed();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, -1);
    }
}
