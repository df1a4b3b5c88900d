//! Asynchronous calls, whose results arrive later from another process: the handler returns at once, so that no thread of XLA waits. A
//! program may have more such calls in flight than XLA has threads, in another order than in other processes, and would deadlock if each
//! occupied a thread.

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, slice};

use super::super::abi::api;
use super::frame::{Attributes, Frame};
use super::host::Host;
use super::layout;

/// A handler of asynchronous calls.
pub trait Later {
    /// Starts the call. `end` must be completed once the results are written, or with an error.
    fn start(call: LaterCall<'_>, end: End);
}

/// Operands and results of a call as bytes, and its attributes.
pub struct LaterCall<'a> {
    /// Operands, until [`Later::start`] returns.
    pub inputs: Vec<&'a [u8]>,
    /// Memory for results, until the call [ends](End::with). Its contents are arbitrary, and it does not overlap operands.
    pub outputs: Vec<&'static mut [u8]>,
    /// Attributes of the call.
    pub attributes: Attributes<'a>,
}

/// Completes a call. Dropping it without an outcome completes the call with an error.
pub struct End {
    host: Host<'static>,
    future: *mut layout::Future,
}

// SAFETY: c_api.h: a future may be completed by any thread, and XLA's function table is constant.
unsafe impl Send for End {}

impl End {
    /// Completes the call.
    pub fn with(mut self, outcome: Result<(), String>) {
        self.complete(outcome);
    }

    fn complete(&mut self, outcome: Result<(), String>) {
        let future = std::mem::replace(&mut self.future, ptr::null_mut());
        if future.is_null() {
            return;
        }
        match outcome {
            Ok(()) => self.host.available(future),
            Err(message) => self.host.broken(future, &message),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.complete(Err("a call between processes was abandoned".to_owned()));
    }
}

/// The function that XLA calls.
///
/// # Safety
/// `frame` is a call frame of XLA. The call lasts until this function returns, or, if it sets the frame's future, until that is completed;
/// until then XLA keeps the memory of operands and results, and uses the latter for nothing else.
pub unsafe extern "C" fn handle<H: Later>(frame: *mut layout::CallFrame) -> *mut layout::Error {
    // SAFETY: guaranteed by the caller; XLA passes a frame to one handler, once.
    let reading = unsafe { Frame::new(frame) };
    if reading.answer_what_this_is() {
        return ptr::null_mut();
    }
    // SAFETY: the function table lives as long as the process. The context, which does not, is unused by futures and errors.
    let host = unsafe { Host::new((*frame).api, ptr::null_mut()) };
    let Some(future) = host.future() else {
        return host.error("this version of the plugin has no calls whose results arrive later; install the pinned one with `spiq plugin install cpu`");
    };
    // SAFETY: guaranteed by the caller.
    let call = unsafe { bytes_of(&*frame) };
    let Some(call) = call else {
        return host.error("a call between processes received memory of an unsupported type");
    };
    // SAFETY: XLA made the frame, with room for its future: its function table has the slots for it.
    unsafe { (*frame).future = future };
    let end = End { host, future };
    // A panic drops `end`, which completes the call with an error.
    drop(catch_unwind(AssertUnwindSafe(|| H::start(call, end))));
    ptr::null_mut()
}

/// # Safety
/// As for [`handle`]; the results' memory outlives the call's end, after which nothing uses it.
unsafe fn bytes_of(frame: &layout::CallFrame) -> Option<LaterCall<'_>> {
    // SAFETY: guaranteed by the caller. Bytes have no alignment, and every value of a byte is valid; as to memory that nothing has written,
    // see `memory::write`.
    unsafe {
        let buffers = |list: &layout::Buffers| api::slice(list.buffers, list.size as usize).to_vec();
        let inputs = buffers(&frame.args).into_iter().map(|buffer| {
            let (data, count) = extent(&*buffer)?;
            Some(slice::from_raw_parts(data.cast_const(), count))
        });
        let outputs = buffers(&frame.rets).into_iter().map(|buffer| {
            let (data, count) = extent(&*buffer)?;
            Some(slice::from_raw_parts_mut(data, count))
        });
        let (inputs, outputs) = (inputs.collect::<Option<_>>()?, outputs.collect::<Option<_>>()?);
        Some(LaterCall { inputs, outputs, attributes: Attributes::of(frame) })
    }
}

/// The first byte and the number of bytes; `None` for elements that are not whole bytes.
///
/// # Safety
/// The buffer is XLA's.
unsafe fn extent(buffer: &layout::Buffer) -> Option<(*mut u8, usize)> {
    // SAFETY: guaranteed by the caller.
    let dims = unsafe { api::slice(buffer.dims, buffer.rank as usize) };
    let count = dims.iter().product::<i64>() as usize * width(buffer.element_type)?;
    // The pointer of an empty buffer may be null.
    let data = if count == 0 { ptr::dangling_mut() } else { buffer.data.cast::<u8>() };
    (!data.is_null()).then_some((data, count))
}

/// Bytes of an element.
fn width(element_type: std::ffi::c_int) -> Option<usize> {
    match element_type {
        layout::PRED | layout::S8 | layout::U8 => Some(1),
        layout::S16 | layout::U16 | layout::F16 | layout::BF16 => Some(2),
        layout::S32 | layout::U32 | layout::F32 => Some(size_of::<u32>()),
        layout::S64 | layout::U64 | layout::F64 => Some(size_of::<u64>()),
        _ => None,
    }
}
