//! A fake function table for tests. They need no plugin, so they run under Miri.

use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::{self, NonNull};
use std::sync::Mutex;

use super::api::Api;
use super::sys;

const SLOTS: usize = 100;

#[repr(C)]
struct Table {
    head: sys::Api,
    slots: [*const c_void; SLOTS],
    /// Beyond the table's stated size.
    beyond: *const c_void,
}

/// Keeps tables alive, like plugins, so that they are not leaks.
static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

struct Kept(#[expect(dead_code, reason = "held alone")] NonNull<Table>);

// SAFETY: tables are not written.
unsafe impl Send for Kept {}

/// A table of the oldest version with this extension, a struct that begins with an [`Extension`](super::extension::Extension).
pub fn with_extension<E>(extension: E) -> Api {
    make(&[], ptr::from_mut(Box::leak(Box::new(extension))).cast())
}

/// A table of the oldest version, with these functions in their slots.
pub fn api(functions: &[(usize, *const c_void)]) -> Api {
    make(functions, ptr::null_mut())
}

fn make(functions: &[(usize, *const c_void)], extensions: *mut c_void) -> Api {
    // SAFETY: it consists of integers and nullable pointers.
    let mut table: Box<Table> = Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
    table.head.struct_size = offset_of!(Table, beyond);
    (table.head.major, table.head.minor) = sys::OLDEST;
    table.head.extensions = extensions.cast();
    for &(slot, function) in functions {
        table.slots[slot] = function;
    }
    let table = NonNull::from(Box::leak(table));
    KEPT.lock().expect("nobody panics with it").push(Kept(table));
    // SAFETY: the table is never released, and has its stated size.
    unsafe { Api::new(table.cast()) }
}
