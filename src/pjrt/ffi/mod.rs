//! The boundary between XLA's programs and the code of this library that they call: registration, and a call's memory as slices.
//!
//! Invariant: does not depend on particular handlers; the caller supplies them.

#[cfg(test)]
pub mod fake;
mod frame;
mod host;
mod later;
mod layout;
mod memory;
mod pool;
mod record;
mod threads;
mod version;

use std::ffi::c_void;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

pub use frame::Call;
pub use later::{End, Later, LaterCall};
pub use memory::{Read, Write};
pub use record::record;
pub use threads::Threads;

use frame::Frame;

use super::abi::api::Api;
use crate::error::{Error, ErrorKind, Result};

/// Code that a program calls.
pub trait Handler {
    /// Computes the call's outputs.
    ///
    /// # Errors
    /// The reason why the call is invalid, in one sentence.
    fn call(call: Call<'_>) -> std::result::Result<(), String>;

    /// What a call computes, for profiles.
    fn describe(call: &Call<'_>) -> String;

    /// The number of operations of a call, for profiles; `None` where it is not known.
    fn operations(_: &Call<'_>) -> Option<u64> {
        None
    }
}

/// A handler and the name by which programs call it.
#[derive(Clone, Copy)]
pub struct Registration {
    target: &'static str,
    handler: layout::Handler,
}

impl Registration {
    /// A handler for the CPU.
    pub const fn new<H: Handler>(target: &'static str) -> Registration {
        Registration { target, handler: handle::<H> }
    }

    /// A handler for the CPU whose results arrive later.
    pub const fn later<H: Later>(target: &'static str) -> Registration {
        Registration { target, handler: later::handle::<H> }
    }

    /// The name.
    pub fn target(&self) -> &'static str {
        self.target
    }

    /// Registers the handler with a plugin.
    ///
    /// # Errors
    /// A plugin without XLA FFI, with one of other layouts, or one that rejects this handler.
    pub fn register(&self, api: Api) -> Result<()> {
        let refused = |why: String| Error::new(ErrorKind::Plugin, why);
        let missing = || refused("it has no foreign functions".to_owned());
        let extension = api.extension(layout::EXTENSION).ok_or_else(missing)?;
        // SAFETY: the list is the plugin's; every extension begins with its size.
        if unsafe { (*extension).struct_size } < size_of::<layout::FfiExtension>() {
            return Err(missing());
        }
        // SAFETY: the extension's kind determines this struct, which its size covers, and it lives as long as the plugin.
        let register = unsafe { (*extension.cast::<layout::FfiExtension>()).register_handler }.ok_or_else(missing)?;
        let mut args = layout::RegisterHandler {
            struct_size: size_of::<layout::RegisterHandler>(),
            target_name: self.target.as_ptr().cast(),
            target_name_size: self.target.len(),
            handler: self.handler as *const c_void,
            platform_name: layout::PROCESSOR.as_ptr().cast(),
            platform_name_size: layout::PROCESSOR.len(),
            traits: 0,
            spare: [0; 8],
        };
        // SAFETY: the arguments outlive the call, and the handler lives as long as the process. We own the error.
        let (registered, told) =
            version::during(|| unsafe { api.take_error(register(&raw mut args), "FfiRegisterHandler") });
        registered?;
        let told = told.ok_or_else(|| refused("it does not ask for the version of foreign functions".to_owned()))?;
        told.misfit().map_or(Ok(()), |why| Err(refused(why)))
    }
}

/// The function that XLA calls.
///
/// # Safety
/// `frame` is a call frame of XLA whose call lasts until this function returns.
unsafe extern "C" fn handle<H: Handler>(frame: *mut layout::CallFrame) -> *mut layout::Error {
    // SAFETY: guaranteed by the caller; XLA passes a frame to one handler, once.
    let frame = unsafe { Frame::new(frame) };
    if frame.answer_what_this_is() {
        return ptr::null_mut();
    }
    let host = frame.host();
    // After a panic only XLA's functions are used, which it does not affect.
    let outcome =
        catch_unwind(AssertUnwindSafe(|| record::timed(frame.into_call()?, H::describe, H::operations, H::call)));
    match outcome.unwrap_or_else(|_| Err("a kernel panicked".to_owned())) {
        Ok(()) => ptr::null_mut(),
        Err(message) => host.error(&message),
    }
}

#[cfg(test)]
mod tests {
    use super::super::abi::fake as fake_plugin;
    use super::fake::{Memory, TOLD};
    use super::threads::Task;
    use super::version::Told;
    use super::*;

    /// Adds the number `by` to bytes, in chunks of two.
    struct Add;

    const ADD: Registration = Registration::new::<Add>("add");

    fn add(from: &[i8], to: &mut [i32], by: i64) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = i32::from(*from) + by as i32;
        }
    }

    impl Handler for Add {
        fn describe(_: &Call<'_>) -> String {
            "add".to_owned()
        }

        fn call(call: Call<'_>) -> std::result::Result<(), String> {
            let [by] = call.attributes.numbers("by").ok_or("nothing to add")? else {
                return Err("too much".to_owned());
            };
            assert!(*by != 13, "an unlucky number");
            assert_eq!(call.attributes.numbers("no list"), None);
            let ([Read::S8(from)], [Write::S32(to)]) = (&call.inputs[..], &mut { call.outputs }[..]) else {
                return Err("other types".to_owned());
            };
            let parts = from.chunks(2).zip(to.chunks_mut(2));
            let tasks: Vec<Task> = parts.map(|(from, to)| Box::new(move || add(from, to, *by)) as Task).collect();
            if call.threads.share(tasks) { Ok(()) } else { Err("a task panicked".to_owned()) }
        }
    }

    /// Calls [`Add`] as XLA does, with uninitialized memory for results.
    fn call(by: &[i64], input: &mut Memory<i8>, output: &mut Memory<i32>) -> Option<String> {
        fake::call(ADD, &[("by", by)], &[input.buffer()], &[output.buffer()])
    }

    #[test]
    fn a_call_reads_writes_and_shares_its_work() {
        for threads in [1, 3] {
            fake::THREADS.set(threads);
            let (mut input, mut output) = (Memory::of(&[1i8, -2, 3, 4, 5]), Memory::unwritten(5));
            assert_eq!(call(&[10], &mut input, &mut output), None);
            assert_eq!(output.read(), [11, 8, 13, 14, 15]);
        }
    }

    #[test]
    fn errors_and_panics_are_told() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let (mut input, mut output) = (Memory::of(&[1i8]), Memory::unwritten(1));
        let told: Vec<_> = [&[][..], &[1, 2], &[13]].map(|by| call(by, &mut input, &mut output)).into();
        std::panic::set_hook(hook);
        assert_eq!(told, ["too much", "too much", "a kernel panicked"].map(|text| Some(text.to_owned())));
    }

    #[test]
    fn memory_of_other_types_and_misplaced_memory_are_refused() {
        let want = Some("a kernel received memory of an unsupported type".to_owned());
        let mut input = Memory::of(&[1i8, 2]);
        let mut output = Memory::<i32>::unwritten(2);
        let (mut other, mut moved) = (output.buffer(), output.buffer());
        other.element_type = 99;
        moved.data = moved.data.cast::<u8>().wrapping_add(1).cast();
        for output in [other, moved] {
            let told = fake::call(ADD, &[], &[input.buffer()], &[output]);
            assert_eq!(told, want);
        }
    }

    #[test]
    fn a_handler_tells_its_version() {
        assert_eq!(fake::asked(ADD, size_of::<layout::Metadata>()), layout::VERSION);
    }

    #[test]
    fn a_plugin_without_the_extension_takes_no_handler() {
        let error = ADD.register(fake_plugin::api(&[])).expect_err("nothing to register with");
        assert_eq!(error.to_string(), "it has no foreign functions");
    }

    /// PJRT reports success in all of these cases.
    #[test]
    fn a_plugin_takes_handlers_if_its_layouts_fit() {
        let register = |told| ADD.register(fake::plugin(told)).map_err(|error| error.to_string());
        let told = |version| Some(Told { version, frame: version::FRAME, answer: version::ANSWER });
        for minor in [1, 4] {
            assert_eq!(register(told(Some((0, minor)))), Ok(()));
        }
        let refused = [
            (told(Some((1, 0))), "its foreign functions have version 1.0; "),
            (told(None), "it does not tell the version"),
            (told(Some((0, 4))).map(|told| Told { frame: 96, ..told }), "call frames of 96 and 36 bytes"),
            (None, "it does not ask for the version"),
        ];
        for (told, expected) in refused {
            let error = register(told).expect_err("it does not fit");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_question_with_little_room_is_not_answered() {
        assert_eq!(fake::asked(ADD, 28), (0, 0));
        assert_eq!(fake::asked(ADD, version::ANSWER), layout::VERSION);
    }

    #[test]
    fn refused_threads_leave_no_error_behind() {
        fake::THREADS.set(3);
        fake::REFUSES.set(true);
        let (mut input, mut output) = (Memory::of(&[1i8; 9]), Memory::unwritten(9));
        assert_eq!(call(&[1], &mut input, &mut output), None);
        assert_eq!((output.read(), TOLD.get()), (vec![2; 9], 0));
    }
}
