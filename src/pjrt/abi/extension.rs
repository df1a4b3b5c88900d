//! Linked lists of extensions, as used by PJRT's function table and XLA's call frames.

use std::ffi::c_int;

/// The head of every extension.
#[repr(C)]
pub struct Extension {
    pub struct_size: usize,
    pub kind: c_int,
    pub next: *const Extension,
}

/// Finds the extension of a kind in a list.
///
/// # Safety
/// `extension` is null or the head of a null-terminated list; its members live as long as the object that they extend.
pub unsafe fn find(mut extension: *const Extension, kind: c_int) -> Option<*const Extension> {
    // SAFETY: guaranteed by the caller.
    while let Some(found) = unsafe { extension.as_ref() } {
        if found.kind == kind {
            return Some(extension);
        }
        extension = found.next;
    }
    None
}
