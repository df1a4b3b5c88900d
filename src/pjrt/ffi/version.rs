//! Whether XLA's FFI has the layouts of this library.
//!
//! XLA's registry asks each handler for its version and refuses one that does not fit, but PJRT's registration reports success all the same:
//! programs with kernels would then fail to compile. So this library compares the versions itself, with what the question tells about XLA.

use std::cell::Cell;
use std::ffi::c_int;
use std::mem::{offset_of, size_of};

use super::layout::{CallFrame, Metadata, VERSION};

/// What XLA tells about its FFI when it asks a handler for its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The major and minor version; `None` where XLA sends no function table.
    pub version: Option<(c_int, c_int)>,
    /// Bytes of a call frame.
    pub frame: usize,
    /// Bytes of the answer.
    pub answer: usize,
}

/// Bytes of a call frame that handlers read. XLA's size leaves out the last field.
pub const FRAME: usize = offset_of!(CallFrame, future);

/// Bytes of the answer that handlers write.
pub const ANSWER: usize = offset_of!(Metadata, traits) + size_of::<u32>();

impl Told {
    /// Why handlers cannot be called; `None` if they can. Within a major version, layouts only grow at their ends.
    pub fn misfit(self) -> Option<String> {
        let (major, minor) = VERSION;
        let own = format!("spiq's kernels need {major}.{minor} or a later {major}.x");
        match self.version {
            None => Some(format!("it does not tell the version of its foreign functions; {own}")),
            Some(version) if version.0 != major || version < VERSION => {
                Some(format!("its foreign functions have version {}.{}; {own}", version.0, version.1))
            }
            Some(_) if self.frame < FRAME || self.answer < ANSWER => Some(format!(
                "its foreign functions have call frames of {} and {} bytes; spiq's kernels need {FRAME} and {ANSWER}",
                self.frame, self.answer
            )),
            Some(_) => None,
        }
    }
}

thread_local! {
    /// What XLA told last on this thread: it asks during registration.
    static LAST: Cell<Option<Told>> = const { Cell::new(None) };
}

/// Keeps what XLA tells.
pub fn keep(told: Told) {
    LAST.set(Some(told));
}

/// What XLA told during a registration on this thread, and its result.
pub fn during<T>(register: impl FnOnce() -> T) -> (T, Option<Told>) {
    LAST.set(None);
    let result = register();
    (result, LAST.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(version: Option<(c_int, c_int)>, frame: usize, answer: usize) -> Option<String> {
        Told { version, frame, answer }.misfit()
    }

    #[test]
    fn later_minor_versions_fit() {
        for minor in [1, 2, 3, 4, 99] {
            assert_eq!(misfit(Some((0, minor)), FRAME, ANSWER), None);
            assert_eq!(misfit(Some((0, minor)), FRAME + 8, ANSWER + 8), None);
        }
    }

    #[test]
    fn other_versions_and_smaller_structs_do_not() {
        for (major, minor) in [(0, 0), (1, 0), (1, 1), (2, 7), (-1, 1)] {
            let said = misfit(Some((major, minor)), FRAME, ANSWER).expect("a misfit");
            assert!(said.contains(&format!("version {major}.{minor}; spiq's kernels need 0.1")), "{said}");
        }
        assert!(misfit(None, FRAME, ANSWER).expect("a misfit").contains("does not tell the version"));
        for (frame, answer) in [(FRAME - 8, ANSWER), (FRAME, ANSWER - 4)] {
            assert!(misfit(Some((0, 1)), frame, answer).expect("a misfit").contains(" bytes; spiq's kernels need "));
        }
    }

    /// The sizes that XLA sends with versions 0.2, 0.3 and 0.4.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn sizes_are_those_of_plugins() {
        assert_eq!((FRAME, ANSWER), (168, 36));
    }
}
