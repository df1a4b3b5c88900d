//! The border between XLA and the kernels of this library: registration, and a call's memory as slices. Knows nothing of what
//! kernels compute.

mod layout;
mod pool;
mod vector;

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};
use std::panic::catch_unwind;
use std::ptr;

use layout::{Buffer, Buffers, CallFrame, Text};

use spiq_kernels::run::{self as kernel, Pool, Read, Work, Write};
use spiq_kernels::{ELEMENTWISE_SCAN, MASKED_PRODUCT, PRODUCTS, PROGRAM};

use super::api::{self, Api};
use super::extension;
use crate::error::{Error, Result};

/// Makes the kernels known to a plugin, for its processor.
///
/// # Errors
/// When the plugin has no such extension, or does not take them.
pub fn register(api: Api) -> Result<()> {
    let missing = || Error::input("this plugin calls no foreign functions");
    let extension = api.extension(layout::EXTENSION).ok_or_else(missing)?;
    // SAFETY: the extension's kind says that it is this struct, and it lives as long as the plugin.
    let register = unsafe { (*extension.cast::<layout::FfiExtension>()).register_handler }.ok_or_else(missing)?;
    for (name, handler) in [(ELEMENTWISE_SCAN, handle::<Scan> as layout::Handler), (MASKED_PRODUCT, handle::<Product>)]
    {
        let platform = "Host";
        let mut args = layout::RegisterHandler {
            struct_size: size_of::<layout::RegisterHandler>(),
            target_name: name.as_ptr().cast(),
            target_name_size: name.len(),
            handler: handler as *const c_void,
            platform_name: platform.as_ptr().cast(),
            platform_name_size: platform.len(),
            traits: 0,
            spare: [0; 8],
        };
        // SAFETY: the arguments outlive the call, and the handler lives as long as the process.
        unsafe { api.take_error(register(&raw mut args), "FfiRegisterHandler")? };
    }
    Ok(())
}

/// What a call says besides its operands.
struct Config<'a> {
    program: &'a [i64],
    /// Empty where there are none.
    products: &'a [i64],
}

/// A kernel, called with its configuration, inputs, outputs and threads.
trait Kernel {
    fn run(config: &Config, inputs: Vec<Read>, outputs: Vec<Write>, pool: &Threads) -> std::result::Result<(), String>;
}

struct Scan;

impl Kernel for Scan {
    fn run(config: &Config, inputs: Vec<Read>, outputs: Vec<Write>, pool: &Threads) -> std::result::Result<(), String> {
        kernel::run_scan(config.program, config.products, inputs, outputs, pool)
    }
}

struct Product;

impl Kernel for Product {
    fn run(
        config: &Config,
        inputs: Vec<Read>,
        mut outputs: Vec<Write>,
        pool: &Threads,
    ) -> std::result::Result<(), String> {
        kernel::run_product(config.program, &inputs, &mut outputs, pool)
    }
}

/// What XLA calls for a kernel.
///
/// # Safety
/// `frame` is a call frame of XLA's.
unsafe extern "C" fn handle<K: Kernel>(frame: *mut CallFrame) -> *mut layout::Error {
    // SAFETY: the caller's promise; nobody else uses the frame during the call.
    let frame = unsafe { &*frame };
    // SAFETY: the list is the frame's.
    if let Some(asked) = unsafe { extension::find(frame.extensions, layout::METADATA) } {
        // SAFETY: the extension's kind says what it is; XLA wants the answer written there.
        unsafe { describe((*asked.cast::<layout::MetadataExtension>()).metadata) };
        return ptr::null_mut();
    }
    // SAFETY: as the whole function.
    let outcome = catch_unwind(|| unsafe { run::<K>(frame) });
    match outcome.unwrap_or_else(|_| Err("a kernel panicked".to_owned())) {
        Ok(()) => ptr::null_mut(),
        Err(message) => error(frame, &message),
    }
}

/// # Safety
/// `metadata` is XLA's.
unsafe fn describe(metadata: *mut layout::Metadata) {
    // SAFETY: the caller's promise.
    unsafe {
        ((*metadata).version.major, (*metadata).version.minor) = layout::VERSION;
        (*metadata).traits = 0;
    }
}

/// # Safety
/// `frame` is a call frame of XLA's, in the stage of execution.
unsafe fn run<K: Kernel>(frame: &CallFrame) -> std::result::Result<(), String> {
    // SAFETY: the frame's lists, and the memory they name, live during the call; results overlap nothing else.
    let (config, inputs, outputs) = unsafe {
        let program = numbers(frame, PROGRAM).ok_or("a kernel was called without a program")?;
        let config = Config { program, products: numbers(frame, PRODUCTS).unwrap_or_default() };
        let inputs = buffers(&frame.args).iter().map(|b| read(b)).collect::<Option<Vec<_>>>();
        let outputs = buffers(&frame.rets).iter().map(|b| write(b)).collect::<Option<Vec<_>>>();
        (config, inputs, outputs)
    };
    let kind = "a kernel was given memory of a type that it does not know";
    K::run(&config, inputs.ok_or(kind)?, outputs.ok_or(kind)?, &Threads { frame, workers: workers(frame) })
}

/// This thread and those that XLA has for programs.
struct Threads<'a> {
    frame: &'a CallFrame,
    workers: usize,
}

impl Pool for Threads<'_> {
    fn workers(&self) -> usize {
        self.workers
    }

    fn run_all<W: Work>(&self, parts: Vec<W>) -> bool {
        let helpers = parts.len().min(self.workers).saturating_sub(1);
        pool::run_all(parts, vector::run, helpers, &|job| schedule(self.frame, job))
    }
}

/// Hands a job to XLA's threads; whether they take it.
fn schedule(frame: &CallFrame, job: &pool::Job) -> bool {
    let mut args = layout::Schedule {
        struct_size: size_of::<layout::Schedule>(),
        extensions: ptr::null(),
        context: frame.context,
        task: job.task,
        data: job.data,
    };
    // SAFETY: the slot's function takes this struct.
    unsafe { call(frame, layout::THREAD_POOL_SCHEDULE, (&raw mut args).cast()) }.is_some_and(|error| error.is_null())
}

/// How many threads XLA has for one program; 1 where it does not tell.
fn workers(frame: &CallFrame) -> usize {
    let mut count = 1i64;
    let mut args = layout::NumThreads {
        struct_size: size_of::<layout::NumThreads>(),
        extensions: ptr::null(),
        context: frame.context,
        count: &raw mut count,
    };
    // SAFETY: the slot's function takes this struct.
    unsafe { call(frame, layout::THREAD_POOL_NUM_THREADS, (&raw mut args).cast()) };
    usize::try_from(count).unwrap_or(1).max(1)
}

fn error(frame: &CallFrame, message: &str) -> *mut layout::Error {
    let message = std::ffi::CString::new(message).unwrap_or_default();
    let mut args = layout::ErrorCreate {
        struct_size: size_of::<layout::ErrorCreate>(),
        extensions: ptr::null(),
        message: message.as_ptr(),
        code: layout::INTERNAL,
    };
    // SAFETY: the slot's function takes this struct, and copies the message.
    unsafe { call(frame, layout::ERROR_CREATE, (&raw mut args).cast()) }.unwrap_or(ptr::null_mut())
}

/// Calls a function of the FFI's table; `None` where the table does not reach that far. An error is the callee's answer,
/// which is not released: it is returned to XLA, or means that threads are not to be had.
///
/// # Safety
/// `args` points to the arguments of the slot's function.
unsafe fn call(frame: &CallFrame, slot: usize, args: *mut c_void) -> Option<*mut layout::Error> {
    let offset = size_of::<layout::Api>() + slot * size_of::<usize>();
    // SAFETY: the table lives as long as the plugin, and its own size says whether the slot lies inside it.
    let function = unsafe {
        let inside = offset + size_of::<usize>() <= frame.api.as_ref()?.struct_size;
        inside.then(|| {
            frame
                .api
                .byte_add(offset)
                .cast::<MaybeUninit<Option<unsafe extern "C" fn(*mut c_void) -> *mut layout::Error>>>()
        })
    }?;
    // SAFETY: a slot is a nullable function pointer; the caller vouches for the arguments.
    unsafe { function.read().assume_init().map(|function| function(args)) }
}

/// # Safety
/// The list is XLA's.
unsafe fn buffers<'a>(list: &Buffers) -> Vec<&'a Buffer> {
    // SAFETY: the caller's promise; XLA has buffers only.
    unsafe { api::slice(list.buffers, list.size as usize).iter().map(|b| &**b).collect() }
}

/// The list of numbers of this name in the call's configuration.
///
/// # Safety
/// The frame is XLA's.
unsafe fn numbers<'a>(frame: &CallFrame, name: &str) -> Option<&'a [i64]> {
    let attrs = &frame.attrs;
    let count = attrs.size as usize;
    // SAFETY: the caller's promise; kinds say what values are.
    unsafe {
        let names = api::slice(attrs.names, count);
        let text = |text: &Text| api::slice(text.data.cast::<u8>(), text.size);
        let at = names.iter().position(|n| text(&**n) == name.as_bytes())?;
        if api::slice(attrs.kinds, count)[at] != layout::KIND_ARRAY {
            return None;
        }
        let list = &*api::slice(attrs.values, count)[at].cast::<layout::List>();
        (list.element_type == layout::S64).then(|| api::slice(list.data.cast(), list.size))
    }
}

/// Number of elements.
///
/// # Safety
/// The buffer is XLA's.
unsafe fn count(buffer: &Buffer) -> usize {
    // SAFETY: the caller's promise.
    unsafe { api::slice(buffer.dims, buffer.rank as usize).iter().product::<i64>() as usize }
}

/// # Safety
/// The buffer is an operand of a call that lasts for `'a`.
unsafe fn read<'a>(buffer: &Buffer) -> Option<Read<'a>> {
    // SAFETY: the caller's promise; XLA aligns memory for its element type.
    unsafe {
        let (data, count) = (buffer.data, count(buffer));
        Some(match buffer.element_type {
            layout::F32 => Read::F32(api::slice(data.cast(), count)),
            layout::S32 => Read::S32(api::slice(data.cast(), count)),
            layout::S8 => Read::S8(api::slice(data.cast(), count)),
            layout::BF16 => Read::Bf16(api::slice(data.cast(), count)),
            layout::PRED => Read::Pred(api::slice(data.cast(), count)),
            _ => return None,
        })
    }
}

/// # Safety
/// The buffer is a result of a call that lasts for `'a`, and overlaps nothing else.
unsafe fn write<'a>(buffer: &Buffer) -> Option<Write<'a>> {
    // SAFETY: as for `read`; a result's memory holds bytes of whatever was there before, which are values of these types.
    unsafe {
        let (data, count) = (buffer.data, count(buffer));
        Some(match buffer.element_type {
            layout::F32 => Write::F32(slice_mut(data, count)),
            layout::S32 => Write::S32(slice_mut(data, count)),
            layout::S8 => Write::S8(slice_mut(data, count)),
            layout::BF16 => Write::Bf16(slice_mut(data, count)),
            layout::PRED => Write::Pred(slice_mut(data, count)),
            _ => return None,
        })
    }
}

/// # Safety
/// `data` is null or points to `count` values that nobody else uses for `'a`.
unsafe fn slice_mut<'a, T>(data: *mut c_void, count: usize) -> &'a mut [T] {
    if data.is_null() || count == 0 {
        return &mut [];
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(data.cast(), count) }
}
