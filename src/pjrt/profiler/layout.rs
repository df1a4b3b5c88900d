//! The subset of the profiler's C interface that this library calls.
//!
//! Layouts are those of `pjrt_c_api_profiler_extension.h` and `profiler_c_api.h`, version 1; both only grow at their ends.

use std::ffi::{c_char, c_int, c_void};

use super::super::abi::extension::Extension;

/// The plugin's profiler extension.
pub const EXTENSION: c_int = 1;

#[repr(C)]
pub struct ProfilerExtension {
    base: Extension,
    pub api: *const Api,
}

macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub struct $name { _private: [u8; 0] }
    )*};
}
opaque! { Recording Error }

/// A function that may fail, with its argument struct.
pub type Function<T> = Option<unsafe extern "C" fn(*mut T) -> *mut Error>;

/// The function table.
#[repr(C)]
pub struct Api {
    pub struct_size: usize,
    private: *mut c_void,
    pub error_destroy: Option<unsafe extern "C" fn(*mut ErrorDestroy)>,
    pub error_message: Option<unsafe extern "C" fn(*mut ErrorMessage)>,
    pub error_get_code: Function<ErrorGetCode>,
    pub create: Function<Create>,
    pub destroy: Function<OfRecording>,
    pub start: Function<OfRecording>,
    pub stop: Function<OfRecording>,
    pub collect_data: Function<CollectData>,
}

#[repr(C)]
pub struct ErrorDestroy {
    pub struct_size: usize,
    pub private: *mut c_void,
    pub error: *mut Error,
}

#[repr(C)]
pub struct ErrorMessage {
    pub struct_size: usize,
    pub private: *mut c_void,
    pub error: *const Error,
    pub message: *const c_char,
    pub message_size: usize,
}

#[repr(C)]
pub struct ErrorGetCode {
    pub struct_size: usize,
    pub private: *mut c_void,
    pub error: *const Error,
    pub code: c_int,
}

#[repr(C)]
pub struct Create {
    pub struct_size: usize,
    pub options: *const c_char,
    pub options_size: usize,
    pub recording: *mut Recording,
}

/// The arguments of `destroy`, `start` and `stop`.
#[repr(C)]
pub struct OfRecording {
    pub struct_size: usize,
    pub recording: *mut Recording,
}

#[repr(C)]
pub struct CollectData {
    pub struct_size: usize,
    pub recording: *mut Recording,
    pub buffer: *mut u8,
    pub buffer_size: usize,
}
