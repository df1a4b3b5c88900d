//! Lists of extensions, as PJRT's function table and XLA's call frames have them. Knows no particular extension.

use std::ffi::c_int;

/// The head of every extension.
#[repr(C)]
pub struct Extension {
    pub struct_size: usize,
    pub kind: c_int,
    pub next: *const Extension,
}

/// The extension of a kind in a list of them.
///
/// # Safety
/// `extension` is null or the head of a list that null ends; its members live as long as what it belongs to.
pub unsafe fn find(mut extension: *const Extension, kind: c_int) -> Option<*const Extension> {
    // SAFETY: the caller's promise.
    while let Some(found) = unsafe { extension.as_ref() } {
        if found.kind == kind {
            return Some(extension);
        }
        extension = found.next;
    }
    None
}
