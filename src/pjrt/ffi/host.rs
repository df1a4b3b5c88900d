//! The functions that XLA offers during a call: errors, and threads.

use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr;

use super::layout;
use super::pool::{Helpers, Job};

/// XLA's functions during a call.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    api: *const layout::Api,
    context: *mut c_void,
    call: PhantomData<&'a layout::Api>,
}

impl Host<'_> {
    /// # Safety
    /// The table and the context are those of a call of XLA's that lasts for the lifetime.
    pub unsafe fn new(api: *const layout::Api, context: *mut c_void) -> Self {
        Host { api, context, call: PhantomData }
    }

    /// How many threads XLA has for one program; 1 where it does not tell.
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

    /// An error to return to XLA.
    pub fn error(self, message: &str) -> *mut layout::Error {
        let message = CString::new(message).unwrap_or_default();
        let mut args = layout::ErrorCreate {
            struct_size: size_of::<layout::ErrorCreate>(),
            extensions: ptr::null(),
            message: message.as_ptr(),
            code: layout::INTERNAL,
        };
        // SAFETY: the slot's function is this one, takes this struct, and copies the message.
        unsafe {
            let create = self.function::<layout::Function>(layout::ERROR_CREATE);
            create.map_or(ptr::null_mut(), |create| create((&raw mut args).cast()))
        }
    }

    /// Calls a function. Whether it is there and makes no error, of which nobody hears.
    ///
    /// # Safety
    /// `args` points to the arguments of the slot's function, which may fail.
    unsafe fn done(self, slot: usize, args: *mut c_void) -> bool {
        // SAFETY: the caller's promise; the error is ours, and not used after its release.
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

    /// The function in a slot of XLA's table, if it reaches that far and holds one.
    ///
    /// # Safety
    /// `F` is a pointer to a function, of the type that the slot's has.
    unsafe fn function<F: Copy>(self, slot: usize) -> Option<F> {
        let offset = size_of::<layout::Api>() + slot * size_of::<usize>();
        // SAFETY: the promise of `new`; the table's own size says whether the slot lies inside it. A slot is nullable. The
        // pointer is XLA's, so that it reaches beyond the head.
        unsafe {
            let inside = offset + size_of::<usize>() <= self.api.as_ref()?.struct_size;
            inside.then(|| self.api.byte_add(offset).cast::<Option<F>>().read())?
        }
    }
}

// SAFETY: c_api.h: the function runs the task on a thread of XLA's, once, and returns an error where there are no threads.
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
