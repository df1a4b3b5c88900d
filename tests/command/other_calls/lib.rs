//! A CPU plugin whose foreign functions do not fit, for a test in plugin.rs, which compiles this file to a library.
//!
//! It is the plugin in `$REAL` with one change, named by `$CALLS`: `none` removes the extension for foreign functions; `1.0` gives them this
//! version, and registration reports success without registering anything, as PJRT's does.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::transmute;
use std::ptr;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const FOREIGN_FUNCTIONS: c_int = 5;

#[repr(C)]
struct Extension {
    size: usize,
    kind: c_int,
    next: *mut Extension,
}

/// The head of the plugin's function table.
#[repr(C)]
pub struct Head {
    size: usize,
    extensions: *mut Extension,
}

#[unsafe(no_mangle)]
pub extern "C" fn GetPjrtApi() -> *const Head {
    let real = CString::new(std::env::var("REAL").expect("the plugin")).expect("a path");
    let calls = std::env::var("CALLS").expect("the change");
    // SAFETY: the file is a plugin, whose function table lives as long as the process.
    unsafe {
        let entry = dlsym(dlopen(real.as_ptr(), 2), c"GetPjrtApi".as_ptr());
        let entry: extern "C" fn() -> *mut Head = transmute(entry);
        let table = copy(entry(), (*entry()).size);
        (*table).extensions = changed((*table).extensions, &calls);
        table
    }
}

/// A copy of a struct of this size, never released.
unsafe fn copy<T>(of: *const T, size: usize) -> *mut T {
    let memory = Box::leak(vec![0usize; size.div_ceil(8)].into_boxed_slice()).as_mut_ptr();
    // SAFETY: guaranteed by the caller.
    unsafe { ptr::copy_nonoverlapping(of.cast::<u8>(), memory.cast(), size) };
    memory.cast()
}

/// A copy of the list with the change.
unsafe fn changed(list: *mut Extension, calls: &str) -> *mut Extension {
    // SAFETY: the list is the plugin's. The fourth word of the extension for foreign functions and the two after it are functions.
    unsafe {
        if list.is_null() {
            return list;
        }
        let rest = changed((*list).next, calls);
        if (*list).kind == FOREIGN_FUNCTIONS && calls == "none" {
            return rest;
        }
        let one = copy(list, (*list).size);
        (*one).next = rest;
        if (*list).kind == FOREIGN_FUNCTIONS {
            one.cast::<usize>().add(5).write(ask as *const () as usize);
        }
        one
    }
}

/// Asks a handler for its version, as an XLA with FFI 1.0, and ignores the answer.
unsafe extern "C" fn ask(args: *const usize) -> *mut c_void {
    // SAFETY: the fourth word of the arguments is the handler, which reads and writes these structs.
    unsafe {
        let handler: extern "C" fn(*mut usize) -> *mut c_void = transmute(args.add(3).read());
        let api = [48usize, 0, 24, 0, 1, 0];
        let mut answer = [36usize, 24, 0, 0, 0];
        let extension = [32, 1, 0, answer.as_mut_ptr() as usize];
        let mut frame = [0usize; 22];
        (frame[0], frame[1], frame[2]) = (168, extension.as_ptr() as usize, api.as_ptr() as usize);
        handler(frame.as_mut_ptr())
    }
}
