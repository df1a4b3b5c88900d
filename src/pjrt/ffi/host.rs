//! The functions that XLA offers during a call: errors and threads.

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr;

use super::layout;
use super::pool::{Helpers, Job};

/// XLA's function table during a call.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    api: *const layout::Api,
    context: *mut c_void,
    call: PhantomData<&'a layout::Api>,
}

impl Host<'_> {
    /// # Safety
    /// The table and the context belong to a call of XLA that lasts for the lifetime.
    pub unsafe fn new(api: *const layout::Api, context: *mut c_void) -> Self {
        Host { api, context, call: PhantomData }
    }

    /// The number of XLA's threads for one program; 1 where XLA does not report it.
    pub fn workers(self) -> usize {
        let mut count = 1i64;
        let mut args = layout::NumThreads {
            struct_size: size_of::<layout::NumThreads>(),
            extensions: ptr::null(),
            context: self.context,
            count: &raw mut count,
        };
        // SAFETY: the slot's function takes this struct.
        unsafe { self.done(layout::THREAD_POOL_NUM_THREADS, (&raw mut args).cast()) };
        usize::try_from(count).unwrap_or(1).max(1)
    }

    /// Creates an error to return to XLA.
    pub fn error(self, message: &str) -> *mut layout::Error {
        let message = CString::new(message).unwrap_or_default();
        let mut args = layout::ErrorCreate {
            struct_size: size_of::<layout::ErrorCreate>(),
            extensions: ptr::null(),
            message: message.as_ptr(),
            code: layout::INTERNAL,
        };
        // SAFETY: this is the slot's function; it takes this struct and copies the message.
        unsafe {
            let create = self.function::<layout::Function>(layout::ERROR_CREATE);
            create.map_or(ptr::null_mut(), |create| create((&raw mut args).cast()))
        }
    }

    /// A future, to be completed later; `None` where XLA has none.
    pub fn future(self) -> Option<*mut layout::Future> {
        let mut args = layout::FutureCreate {
            struct_size: size_of::<layout::FutureCreate>(),
            extensions: ptr::null(),
            future: ptr::null_mut(),
        };
        // SAFETY: the slots' functions have this type; the first one takes this struct.
        unsafe {
            self.function::<layout::Function>(layout::FUTURE_SET_AVAILABLE)?;
            self.function::<layout::Function>(layout::FUTURE_SET_ERROR)?;
            self.done(layout::FUTURE_CREATE, (&raw mut args).cast());
        }
        (!args.future.is_null()).then_some(args.future)
    }

    /// Completes a future: the results are written.
    pub fn available(self, future: *mut layout::Future) {
        let mut args = layout::FutureSetAvailable {
            struct_size: size_of::<layout::FutureSetAvailable>(),
            extensions: ptr::null(),
            future,
        };
        // SAFETY: the slot's function takes this struct.
        unsafe { self.done(layout::FUTURE_SET_AVAILABLE, (&raw mut args).cast()) };
    }

    /// Completes a future with an error.
    pub fn broken(self, future: *mut layout::Future, message: &str) {
        let mut args = layout::FutureSetError {
            struct_size: size_of::<layout::FutureSetError>(),
            extensions: ptr::null(),
            future,
            error: self.error(message),
        };
        // SAFETY: the slot's function takes this struct, and owns the error from then on.
        unsafe { self.done(layout::FUTURE_SET_ERROR, (&raw mut args).cast()) };
    }

    /// Calls a function. Returns whether it exists and succeeds; an error is released.
    ///
    /// # Safety
    /// `args` points to the arguments of the slot's function, which may return an error.
    unsafe fn done(self, slot: usize, args: *mut c_void) -> bool {
        // SAFETY: guaranteed by the caller; we own the error and do not use it after its release.
        unsafe {
            let Some(function) = self.function::<layout::Function>(slot) else { return false };
            let error = function(args);
            if !error.is_null() {
                let mut args = layout::ErrorDestroy {
                    struct_size: size_of::<layout::ErrorDestroy>(),
                    extensions: ptr::null(),
                    error,
                };
                if let Some(destroy) = self.function::<layout::Procedure>(layout::ERROR_DESTROY) {
                    destroy((&raw mut args).cast());
                }
            }
            error.is_null()
        }
    }

    /// The function in a slot of XLA's table, if the table is large enough and the slot is not null.
    ///
    /// # Safety
    /// `F` is the type of the slot's function pointer.
    unsafe fn function<F: Copy>(self, slot: usize) -> Option<F> {
        let offset = size_of::<layout::Api>() + slot * size_of::<usize>();
        // SAFETY: guaranteed by the caller of `new`; the table's size shows whether it contains the slot. A slot is nullable. The
        // pointer is XLA's, so it is valid beyond the head.
        unsafe {
            let inside = offset + size_of::<usize>() <= self.api.as_ref()?.struct_size;
            inside.then(|| self.api.byte_add(offset).cast::<Option<F>>().read())?
        }
    }
}

// SAFETY: c_api.h: the function runs the task once on one of XLA's threads, and returns an error if there are none.
unsafe impl Helpers for Host<'_> {
    fn take(&self, job: Job) -> bool {
        let mut args = layout::Schedule {
            struct_size: size_of::<layout::Schedule>(),
            extensions: ptr::null(),
            context: self.context,
            task: job.task,
            data: job.data,
        };
        // SAFETY: the slot's function takes this struct.
        unsafe { self.done(layout::THREAD_POOL_SCHEDULE, (&raw mut args).cast()) }
    }
}
