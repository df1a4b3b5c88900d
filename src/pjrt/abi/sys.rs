//! The subset of PJRT's C interface that this library calls: argument structs and slot numbers.
//!
//! Layouts and slot numbers are those of `pjrt_c_api.h`, version 0.81; the interface only grows at its ends.

use std::ffi::{c_char, c_int, c_void};
use std::mem::{MaybeUninit, size_of};
use std::ops::{Deref, DerefMut};

/// The oldest supported version: the first with all slots and fields used here.
pub const OLDEST: (i32, i32) = (0, 81);

/// C data whose all-zero bit pattern is valid.
///
/// # Safety
/// The type is `repr(C)` and valid when all its bytes are zero.
pub unsafe trait Plain {}

/// The arguments of one function of the interface.
///
/// # Safety
/// The slot of a table contains null or a pointer to a function of type `Function`, which takes `Args` of this struct.
pub unsafe trait Arguments: Plain {
    /// Its index in the function table.
    const SLOT: usize;
    /// Its name in error messages.
    const NAME: &'static str;
    /// The function's type.
    type Function: Copy;
}

/// The arguments of a function that may fail.
pub trait Call: Arguments<Function = Function> {}

/// The arguments of a function that returns nothing.
pub trait Report: Arguments<Function = Procedure> {}

/// An argument struct: the common header, the fields, and space for fields of later versions.
///
/// A plugin rejects structs that are smaller than its own and accepts larger ones, so zeros after the known fields let one binary
/// work with older and newer plugins.
#[repr(C)]
pub struct Args<T> {
    struct_size: usize,
    extensions: *mut c_void,
    body: T,
    spare: [usize; 32],
}

impl<T: Plain> Args<T> {
    /// All fields zero, sizes set.
    pub fn zeroed() -> Args<T> {
        // SAFETY: header and padding are integers and a pointer, and `Plain` guarantees that zeros are a valid `T`.
        let mut args: Args<T> = unsafe { MaybeUninit::zeroed().assume_init() };
        args.struct_size = size_of::<Args<T>>();
        args
    }

    /// The fields alone.
    pub fn into_body(self) -> T {
        self.body
    }
}

impl<T> Deref for Args<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.body
    }
}

impl<T> DerefMut for Args<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.body
    }
}

macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name { _private: [u8; 0] }
    )*};
}
opaque! { Error Event Client Device DeviceDescription Executable LoadedExecutable Buffer Topology Serialized }

/// The head of the function table, followed by the slots.
#[repr(C)]
pub struct Api {
    pub struct_size: usize,
    pub extensions: *mut c_void,
    version_struct_size: usize,
    version_extensions: *mut c_void,
    pub major: c_int,
    pub minor: c_int,
}

/// The type of `GetPjrtApi`.
pub type GetApi = unsafe extern "C" fn() -> *const Api;
/// The generic type of a slot; the real argument type depends on the slot.
pub type Function = unsafe extern "C" fn(*mut c_void) -> *mut Error;
/// The type of the slots of `PJRT_Error_Destroy` and `PJRT_Error_Message`.
pub type Procedure = unsafe extern "C" fn(*mut c_void);

/// A named option or attribute. Arrays are indexed by its size, so it has no space for later fields.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NamedValue {
    pub struct_size: usize,
    pub extensions: *mut c_void,
    pub name: *const c_char,
    pub name_size: usize,
    pub kind: c_int,
    pub value: NamedValueData,
    pub value_size: usize,
}

/// The value of a [`NamedValue`], whose `kind` selects the member.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NamedValueData {
    pub text: *const c_char,
    pub int: i64,
    pub ints: *const i64,
    pub float: f32,
    pub bool: bool,
}

pub const KIND_TEXT: c_int = 0;
pub const KIND_INT: c_int = 1;
pub const KIND_INTS: c_int = 2;
pub const KIND_FLOAT: c_int = 3;
pub const KIND_BOOL: c_int = 4;

/// The host data does not change during the call, and is not read afterwards.
pub const IMMUTABLE_ONLY_DURING_CALL: c_int = 0;
/// The host data stays unchanged until the event fires.
pub const IMMUTABLE_UNTIL_TRANSFER_COMPLETES: c_int = 1;
/// A layout given as an order of axes.
pub const LAYOUT_TILED: c_int = 0;

macro_rules! structs {
    ($($name:ident { $($field:ident: $ty:ty,)* })*) => {$(
        #[repr(C)]
        pub struct $name { $(pub $field: $ty,)* }
        // SAFETY: only integers, floats, booleans and nullable pointers.
        unsafe impl Plain for $name {}
    )*};
}

structs! {
    Program { code: *const c_char, code_size: usize, format: *const c_char, format_size: usize, }
    TiledLayout {
        tiled_struct_size: usize, tiled_extensions: *mut c_void,
        minor_to_major: *const i64, minor_to_major_size: usize,
        tile_dims: *const i64, tile_dim_sizes: *const usize, num_tiles: usize,
        kind: c_int,
    }
    ExecuteOptions {
        send_callbacks: *mut c_void, recv_callbacks: *mut c_void, num_send_ops: usize, num_recv_ops: usize,
        launch_id: c_int,
        non_donatable_input_indices: *const i64, num_non_donatable_input_indices: usize,
        context: *mut c_void, call_location: *const c_char,
        num_tasks: usize, task_ids: *mut c_int, incarnation_ids: *mut i64,
    }
}

macro_rules! calls {
    ($kind:ident $function:ident: $($slot:literal $name:ident { $($field:ident: $ty:ty,)* })*) => {
        structs! { $($name { $($field: $ty,)* })* }
        $(
            // SAFETY: slot and struct match pjrt_c_api.h.
            unsafe impl Arguments for $name {
                const SLOT: usize = $slot;
                const NAME: &'static str = stringify!($name);
                type Function = $function;
            }
            impl $kind for $name {}
        )*
    };
}

/// Makes an error for a callback to return.
pub type CallbackError = unsafe extern "C" fn(code: c_int, message: *const c_char, size: usize) -> *mut Error;

/// Frees a value that a callback has returned.
pub type FreeValue = unsafe extern "C" fn(value: *mut c_char);

/// A plugin's request for the value of a key, as soon as it is there.
#[repr(C)]
pub struct KvGetArgs {
    pub struct_size: usize,
    pub extensions: *mut c_void,
    pub key: *const c_char,
    pub key_size: usize,
    pub timeout_in_ms: c_int,
    pub callback_error: *const CallbackError,
    pub user: *const c_void,
    pub value: *mut c_char,
    pub value_size: usize,
    pub free_value: Option<FreeValue>,
}

/// The same, only if it is there.
#[repr(C)]
pub struct KvTryGetArgs {
    pub struct_size: usize,
    pub extensions: *mut c_void,
    pub key: *const c_char,
    pub key_size: usize,
    pub callback_error: *const CallbackError,
    pub user: *const c_void,
    pub value: *mut c_char,
    pub value_size: usize,
    pub free_value: Option<FreeValue>,
}

/// A plugin's value for all processes.
#[repr(C)]
pub struct KvPutArgs {
    pub struct_size: usize,
    pub extensions: *mut c_void,
    pub key: *const c_char,
    pub key_size: usize,
    pub value: *const c_char,
    pub value_size: usize,
    pub callback_error: *const CallbackError,
    pub user: *const c_void,
}

pub type KvGet = unsafe extern "C" fn(args: *mut KvGetArgs) -> *mut Error;
pub type KvTryGet = unsafe extern "C" fn(args: *mut KvTryGetArgs) -> *mut Error;
pub type KvPut = unsafe extern "C" fn(args: *mut KvPutArgs) -> *mut Error;

type OnReady = unsafe extern "C" fn(error: *mut Error, user: *mut c_void);

calls! {
    Report Procedure:
    0 ErrorDestroy { error: *mut Error, }
    1 ErrorMessage { error: *const Error, message: *const c_char, message_size: usize, }
}

calls! {
    Call Function:
    2 ErrorGetCode { error: *const Error, code: c_int, }
    3 PluginInitialize { }
    4 PluginAttributes { attributes: *const NamedValue, num_attributes: usize, }
    5 EventDestroy { event: *mut Event, }
    6 EventIsReady { event: *mut Event, is_ready: bool, }
    7 EventError { event: *mut Event, }
    8 EventAwait { event: *mut Event, }
    9 EventOnReady { event: *mut Event, callback: Option<OnReady>, user: *mut c_void, }
    10 ClientCreate {
        create_options: *const NamedValue, num_options: usize,
        kv_get: Option<KvGet>, kv_get_user: *const c_void, kv_put: Option<KvPut>, kv_put_user: *const c_void,
        client: *mut Client,
        kv_try_get: Option<KvTryGet>, kv_try_get_user: *const c_void,
    }
    11 ClientDestroy { client: *mut Client, }
    12 ClientPlatformName { client: *mut Client, name: *const c_char, name_size: usize, }
    14 ClientPlatformVersion { client: *mut Client, version: *const c_char, version_size: usize, }
    16 ClientAddressableDevices { client: *mut Client, devices: *const *mut Device, num_devices: usize, }
    20 ClientCompile {
        client: *mut Client, program: *const Args<Program>, options: *const c_char, options_size: usize,
        executable: *mut LoadedExecutable,
    }
    22 ClientBufferFromHostBuffer {
        client: *mut Client, data: *const c_void, element_type: c_int, dims: *const i64, num_dims: usize,
        byte_strides: *const i64, num_byte_strides: usize, semantics: c_int,
        device: *mut Device, memory: *mut c_void, layout: *mut c_void,
        done_with_host_buffer: *mut Event, buffer: *mut Buffer,
    }
    23 DeviceDescriptionId { description: *mut DeviceDescription, id: c_int, }
    26 DeviceDescriptionKind { description: *mut DeviceDescription, kind: *const c_char, kind_size: usize, }
    27 DeviceDescriptionDebugString { description: *mut DeviceDescription, text: *const c_char, text_size: usize, }
    29 DeviceGetDescription { device: *mut Device, description: *mut DeviceDescription, }
    34 DeviceMemoryStats {
        device: *mut Device, bytes_in_use: i64,
        peak_bytes_in_use: i64, peak_bytes_in_use_is_set: bool,
        num_allocs: i64, num_allocs_is_set: bool,
        largest_alloc_size: i64, largest_alloc_size_is_set: bool,
        bytes_limit: i64, bytes_limit_is_set: bool,
    }
    40 ExecutableDestroy { executable: *mut Executable, }
    46 ExecutableGetCostAnalysis { executable: *mut Executable, num_properties: usize, properties: *const NamedValue, }
    48 ExecutableOptimizedProgram { executable: *mut Executable, program: *mut Args<Program>, }
    49 ExecutableSerialize {
        executable: *const Executable, bytes: *const c_char, bytes_size: usize,
        serialized: *mut Serialized, deleter: Option<unsafe extern "C" fn(*mut Serialized)>,
    }
    50 LoadedExecutableDestroy { executable: *mut LoadedExecutable, }
    51 LoadedExecutableGetExecutable { loaded: *mut LoadedExecutable, executable: *mut Executable, }
    52 LoadedExecutableAddressableDevices {
        executable: *mut LoadedExecutable, devices: *const *mut Device, num_devices: usize,
    }
    55 LoadedExecutableExecute {
        executable: *mut LoadedExecutable, options: *mut Args<ExecuteOptions>,
        argument_lists: *const *const *mut Buffer, num_devices: usize, num_args: usize,
        output_lists: *const *mut *mut Buffer, complete_events: *mut *mut Event, device: *mut Device,
    }
    56 ExecutableDeserializeAndLoad {
        client: *mut Client, bytes: *const c_char, bytes_size: usize, executable: *mut LoadedExecutable,
        overridden_options: *const c_char, overridden_options_size: usize,
    }
    58 BufferDestroy { buffer: *mut Buffer, }
    64 BufferOnDeviceSizeInBytes { buffer: *mut Buffer, size: usize, }
    65 BufferDevice { buffer: *mut Buffer, device: *mut Device, }
    67 BufferDelete { buffer: *mut Buffer, }
    68 BufferIsDeleted { buffer: *mut Buffer, is_deleted: bool, }
    69 BufferCopyToDevice { buffer: *mut Buffer, device: *mut Device, copy: *mut Buffer, }
    70 BufferToHostBuffer {
        source: *mut Buffer, layout: *const Args<TiledLayout>, destination: *mut c_void, size: usize,
        event: *mut Event,
    }
    72 BufferReadyEvent { buffer: *mut Buffer, event: *mut Event, }
    82 TopologyCreate {
        name: *const c_char, name_size: usize, create_options: *const NamedValue, num_options: usize,
        topology: *mut Topology,
    }
    83 TopologyDestroy { topology: *mut Topology, }
    86 TopologyGetDeviceDescriptions {
        topology: *const Topology, descriptions: *const *mut DeviceDescription, num_descriptions: usize,
    }
    89 Compile {
        topology: *const Topology, program: *const Args<Program>, options: *const c_char, options_size: usize,
        client: *mut Client, executable: *mut Executable,
    }
    90 ExecutableOutputElementTypes { executable: *mut Executable, types: *const c_int, num_types: usize, }
    91 ExecutableOutputDimensions {
        executable: *mut Executable, num_outputs: usize, dims: *const i64, dim_sizes: *const usize,
    }
    96 ExecutableGetCompiledMemoryStats {
        executable: *mut Executable, generated_code: i64, arguments: i64, outputs: i64, aliases: i64, temporaries: i64,
        host_generated_code: i64, host_arguments: i64, host_outputs: i64, host_aliases: i64, host_temporaries: i64,
        peak: i64,
    }
}
