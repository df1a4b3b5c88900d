//! Fake XLA calls for tests of handlers. They need no plugin, so they run under Miri.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::mem::{MaybeUninit, size_of, transmute};
use std::ptr;
use std::thread::{JoinHandle, spawn};

use super::super::abi::api::Api as PluginApi;
use super::super::abi::{fake as fake_plugin, sys};
use super::Registration;
use super::layout::{
    Api, Attributes, Buffer, Buffers, CallFrame, EXTENSION, Error, ErrorCreate, ErrorDestroy, F32, FfiExtension,
    Handler, KIND_ARRAY, List, METADATA, Metadata, MetadataExtension, NumThreads, PRED, RegisterHandler, S8, S32, S64,
    Schedule, THREAD_POOL_NUM_THREADS, THREAD_POOL_SCHEDULE, Text,
};
use super::pool::Job;
use super::version::Told;

thread_local! {
    /// Number of threads that XLA reports.
    pub static THREADS: Cell<i64> = const { Cell::new(1) };
    /// Whether XLA refuses jobs anyway.
    pub static REFUSES: Cell<bool> = const { Cell::new(false) };
    /// Number of errors created and not released.
    pub static TOLD: Cell<usize> = const { Cell::new(0) };
    static HELPERS: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

/// Element types.
pub trait Element: Copy {
    const TYPE: c_int;
}
impl Element for i8 {
    const TYPE: c_int = S8;
}
impl Element for i32 {
    const TYPE: c_int = S32;
}
impl Element for f32 {
    const TYPE: c_int = F32;
}
impl Element for u8 {
    const TYPE: c_int = PRED;
}

/// The memory of an operand or a result.
pub struct Memory<T> {
    elements: Box<[MaybeUninit<T>]>,
    dims: Box<[i64; 1]>,
}

impl<T: Element> Memory<T> {
    pub fn of(values: &[T]) -> Memory<T> {
        let elements = values.iter().map(|value| MaybeUninit::new(*value)).collect();
        Memory { elements, dims: Box::new([values.len() as i64]) }
    }

    /// Uninitialized memory.
    pub fn unwritten(count: usize) -> Memory<T> {
        Memory { elements: Box::new_uninit_slice(count), dims: Box::new([count as i64]) }
    }

    pub fn read(&self) -> Vec<T> {
        // SAFETY: a test reads memory that a handler should have written; Miri detects it if not.
        self.elements.iter().map(|element| unsafe { element.assume_init() }).collect()
    }

    /// A buffer that points to it.
    pub fn buffer(&mut self) -> Buffer {
        Buffer {
            struct_size: size_of::<Buffer>(),
            extensions: ptr::null(),
            element_type: T::TYPE,
            data: self.elements.as_mut_ptr().cast(),
            rank: 1,
            dims: self.dims.as_ptr(),
        }
    }
}

/// XLA's function table.
#[repr(C)]
struct Table {
    head: Api,
    slots: [*const c_void; THREAD_POOL_NUM_THREADS + 1],
}

unsafe extern "C" fn create(args: *mut ErrorCreate) -> *mut Error {
    TOLD.set(TOLD.get() + 1);
    // SAFETY: these are the arguments of a call.
    let text = unsafe { CStr::from_ptr((*args).message) };
    Box::into_raw(Box::new(text.to_string_lossy().into_owned())).cast()
}

unsafe extern "C" fn destroy(args: *mut ErrorDestroy) {
    TOLD.set(TOLD.get() - 1);
    // SAFETY: `create` made the error, and we own it again.
    drop(unsafe { Box::from_raw((*args).error.cast::<String>()) });
}

unsafe extern "C" fn schedule(args: *mut Schedule) -> *mut Error {
    if REFUSES.get() {
        let mut args = ErrorCreate {
            struct_size: size_of::<ErrorCreate>(),
            extensions: ptr::null(),
            message: c"no threads".as_ptr(),
            code: 13,
        };
        // SAFETY: these are the arguments of the function.
        return unsafe { create(&raw mut args) };
    }
    // SAFETY: these are the arguments of a call.
    let job = unsafe { Job { task: (*args).task, data: (*args).data } };
    let helper = spawn(move || {
        let job = job;
        // SAFETY: the job is called only here.
        unsafe { (job.task)(job.data) }
    });
    HELPERS.with_borrow_mut(|helpers| helpers.push(helper));
    ptr::null_mut()
}

unsafe extern "C" fn num_threads(args: *mut NumThreads) -> *mut Error {
    // SAFETY: these are the arguments of a call.
    unsafe { *(*args).count = THREADS.get() };
    ptr::null_mut()
}

fn table() -> Table {
    // SAFETY: it consists of integers and nullable pointers.
    let mut table: Table = unsafe { MaybeUninit::zeroed().assume_init() };
    table.head.struct_size = size_of::<Table>();
    table.slots[super::layout::ERROR_CREATE] = create as *const c_void;
    table.slots[super::layout::ERROR_DESTROY] = destroy as *const c_void;
    table.slots[THREAD_POOL_SCHEDULE] = schedule as *const c_void;
    table.slots[THREAD_POOL_NUM_THREADS] = num_threads as *const c_void;
    table
}

/// Calls a registered handler with lists of integers, operands and results. Returns its error.
pub fn call(
    registered: Registration,
    attributes: &[(&str, &[i64])],
    inputs: &[Buffer],
    outputs: &[Buffer],
) -> Option<String> {
    // SAFETY: the frame is that of a call.
    with_frame(attributes, inputs, outputs, |frame| unsafe { (registered.handler)(frame) })
}

fn with_frame(
    attributes: &[(&str, &[i64])],
    inputs: &[Buffer],
    outputs: &[Buffer],
    handler: impl FnOnce(*mut CallFrame) -> *mut Error,
) -> Option<String> {
    let table = table();
    let names: Vec<Text> =
        attributes.iter().map(|(name, _)| Text { data: name.as_ptr().cast(), size: name.len() }).collect();
    let lists: Vec<List> = attributes
        .iter()
        .map(|(_, list)| List { element_type: S64, size: list.len(), data: list.as_ptr().cast() })
        .collect();
    let (names, lists): (Vec<*const Text>, Vec<*const c_void>) =
        (names.iter().map(ptr::from_ref).collect(), lists.iter().map(|list| ptr::from_ref(list).cast()).collect());
    let kinds = vec![KIND_ARRAY; lists.len()];
    let (inputs, outputs): (Vec<*const Buffer>, Vec<*const Buffer>) =
        (inputs.iter().map(ptr::from_ref).collect(), outputs.iter().map(ptr::from_ref).collect());
    let buffers = |list: &[*const Buffer]| Buffers {
        struct_size: size_of::<Buffers>(),
        extensions: ptr::null(),
        size: list.len() as i64,
        kinds: ptr::null(),
        buffers: list.as_ptr(),
    };
    let mut frame = CallFrame {
        struct_size: size_of::<CallFrame>(),
        extensions: ptr::null(),
        api: (&raw const table).cast(),
        context: ptr::null_mut(),
        stage: 3,
        args: buffers(&inputs),
        rets: buffers(&outputs),
        attrs: Attributes {
            struct_size: size_of::<Attributes>(),
            extensions: ptr::null(),
            size: lists.len() as i64,
            kinds: kinds.as_ptr(),
            names: names.as_ptr(),
            values: lists.as_ptr(),
        },
        future: ptr::null_mut(),
    };
    let error = handler(&raw mut frame);
    for helper in HELPERS.take() {
        helper.join().expect("a job does not panic");
    }
    (!error.is_null()).then(|| {
        TOLD.set(TOLD.get() - 1);
        // SAFETY: `create` made the error, and the handler passed it to XLA.
        *unsafe { Box::from_raw(error.cast::<String>()) }
    })
}

/// Queries the version of a registered handler, whose answer has room for this many bytes.
pub fn asked(registered: Registration, answer: usize) -> (c_int, c_int) {
    ask(registered.handler, Told { version: None, frame: size_of::<CallFrame>(), answer })
}

/// Queries the version of a handler, as an XLA that tells this.
fn ask(handler: Handler, told: Told) -> (c_int, c_int) {
    // SAFETY: they consist of integers and nullable pointers.
    let (mut frame, mut metadata, mut extension): (CallFrame, Metadata, MetadataExtension) =
        unsafe { MaybeUninit::zeroed().assume_init() };
    let mut table = table();
    (table.head.version.major, table.head.version.minor) = told.version.unwrap_or_default();
    (frame.struct_size, metadata.struct_size) = (told.frame, told.answer);
    frame.api = told.version.map_or(ptr::null(), |_| (&raw const table).cast());
    (extension.base.kind, extension.metadata) = (METADATA, &raw mut metadata);
    frame.extensions = (&raw const extension).cast();
    // SAFETY: the frame is that of a metadata query.
    assert!(unsafe { handler(&raw mut frame) }.is_null());
    (metadata.version.major, metadata.version.minor)
}

thread_local! {
    /// What the fake plugin's XLA tells handlers that are registered.
    static TELLS: Cell<Option<Told>> = const { Cell::new(None) };
}

/// Asks the handler for its version and reports success whatever it is, as PJRT does.
unsafe extern "C" fn register(args: *mut RegisterHandler) -> *mut sys::Error {
    // SAFETY: these are the arguments of a registration, whose handler has this type.
    let handler = unsafe { transmute::<*const c_void, Handler>((*args).handler) };
    TELLS.get().into_iter().for_each(|told| _ = ask(handler, told));
    ptr::null_mut()
}

/// A plugin with foreign functions, whose XLA tells this on the current thread; `None`: it asks handlers nothing.
pub fn plugin(told: Option<Told>) -> PluginApi {
    TELLS.set(told);
    // SAFETY: it consists of integers and nullable pointers.
    let mut extension: FfiExtension = unsafe { MaybeUninit::zeroed().assume_init() };
    (extension.base.struct_size, extension.base.kind) = (size_of::<FfiExtension>(), EXTENSION);
    extension.register_handler = Some(register);
    fake_plugin::with_extension(extension)
}
