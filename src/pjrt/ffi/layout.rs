//! The subset of XLA's FFI used here: the structs that handlers receive and return.
//!
//! Layouts are those of `xla/ffi/api/c_api.h` and `pjrt_c_api_ffi_extension.h`; within a major version, both only grow at their ends.

use std::ffi::{c_char, c_int, c_void};

use super::super::abi::extension::Extension;

/// The plugin's extension for foreign functions.
pub const EXTENSION: c_int = 5;

#[repr(C)]
pub struct FfiExtension {
    pub base: Extension,
    type_id_register: *const c_void,
    user_data_add: *const c_void,
    pub register_handler: Option<unsafe extern "C" fn(*mut RegisterHandler) -> *mut super::super::abi::sys::Error>,
}

#[repr(C)]
pub struct RegisterHandler {
    pub struct_size: usize,
    pub target_name: *const c_char,
    pub target_name_size: usize,
    pub handler: *const c_void,
    pub platform_name: *const c_char,
    pub platform_name_size: usize,
    pub traits: c_int,
    pub spare: [usize; 8],
}

/// XLA's name of the CPU platform.
pub const PROCESSOR: &str = "Host";

/// The type of a handler.
pub type Handler = unsafe extern "C" fn(*mut CallFrame) -> *mut Error;

#[repr(C)]
pub struct Error {
    _private: [u8; 0],
}

#[repr(C)]
pub struct CallFrame {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub api: *const Api,
    pub context: *mut c_void,
    pub stage: c_int,
    pub args: Buffers,
    pub rets: Buffers,
    pub attrs: Attributes,
    /// Set by a handler whose results arrive later. XLA's that are older than its slots in the function table lack it.
    pub future: *mut Future,
}

/// The end of a call whose results arrive later.
#[repr(C)]
pub struct Future {
    _private: [u8; 0],
}

/// Operands or results.
#[repr(C)]
pub struct Buffers {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub size: i64,
    pub kinds: *const c_int,
    pub buffers: *const *const Buffer,
}

#[repr(C)]
pub struct Buffer {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub element_type: c_int,
    pub data: *mut c_void,
    pub rank: i64,
    pub dims: *const i64,
}

#[repr(C)]
pub struct Attributes {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub size: i64,
    pub kinds: *const c_int,
    pub names: *const *const Text,
    pub values: *const *const c_void,
}

pub const KIND_ARRAY: c_int = 1;

#[repr(C)]
pub struct Text {
    pub data: *const c_char,
    pub size: usize,
}

#[repr(C)]
pub struct List {
    pub element_type: c_int,
    pub size: usize,
    pub data: *const c_void,
}

pub const PRED: c_int = 1;
pub const S8: c_int = 2;
pub const S16: c_int = 3;
pub const S32: c_int = 4;
pub const S64: c_int = 5;
pub const U8: c_int = 6;
pub const U16: c_int = 7;
pub const U32: c_int = 8;
pub const U64: c_int = 9;
pub const F16: c_int = 10;
pub const F32: c_int = 11;
pub const F64: c_int = 12;
pub const BF16: c_int = 16;

/// The extension of a metadata query.
pub const METADATA: c_int = 1;

#[repr(C)]
pub struct MetadataExtension {
    pub base: Extension,
    pub metadata: *mut Metadata,
}

#[repr(C)]
pub struct Metadata {
    pub struct_size: usize,
    pub version: Version,
    pub traits: u32,
}

#[repr(C)]
pub struct Version {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub major: c_int,
    pub minor: c_int,
}

/// The FFI version of these layouts; plugins accept it if their own is the same or newer.
pub const VERSION: (c_int, c_int) = (0, 1);

/// The head of the FFI's function table, followed by the slots.
#[repr(C)]
pub struct Api {
    pub struct_size: usize,
    extensions: *const Extension,
    pub version: Version,
    internal: *const c_void,
}

/// The generic type of a slot; the real argument type depends on the slot.
pub type Function = unsafe extern "C" fn(*mut c_void) -> *mut Error;
/// The type of the slot of `XLA_FFI_Error_Destroy`.
pub type Procedure = unsafe extern "C" fn(*mut c_void);

pub const ERROR_CREATE: usize = 0;
pub const ERROR_DESTROY: usize = 2;
pub const THREAD_POOL_SCHEDULE: usize = 11;
pub const THREAD_POOL_NUM_THREADS: usize = 12;
pub const FUTURE_CREATE: usize = 13;
pub const FUTURE_SET_AVAILABLE: usize = 14;
pub const FUTURE_SET_ERROR: usize = 15;

#[repr(C)]
pub struct FutureCreate {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub future: *mut Future,
}

#[repr(C)]
pub struct FutureSetAvailable {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub future: *mut Future,
}

#[repr(C)]
pub struct FutureSetError {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub future: *mut Future,
    pub error: *mut Error,
}

#[repr(C)]
pub struct ErrorCreate {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub message: *const c_char,
    pub code: c_int,
}

pub const INTERNAL: c_int = 13;

#[repr(C)]
pub struct ErrorDestroy {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub error: *mut Error,
}

#[repr(C)]
pub struct Schedule {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub context: *mut c_void,
    pub task: unsafe extern "C" fn(*mut c_void),
    pub data: *mut c_void,
}

#[repr(C)]
pub struct NumThreads {
    pub struct_size: usize,
    pub extensions: *const Extension,
    pub context: *mut c_void,
    pub count: *mut i64,
}
