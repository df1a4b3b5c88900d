//! A call of XLA's: its operands, results and attributes.

use super::super::abi::api::slice;
use super::super::abi::extension;
use super::host::Host;
use super::layout::{self, CallFrame, Text};
use super::memory::{self, Read, Write};
use super::threads::Threads;

/// A call frame of XLA's that lives for `'a`. Everything here believes what it says.
pub struct Frame<'a>(&'a CallFrame);

/// What a program gives to the code that it calls.
pub struct Call<'a> {
    /// Operands.
    pub inputs: Vec<Read<'a>>,
    /// Memory for results. It holds any bytes, and no operand's.
    pub outputs: Vec<Write<'a>>,
    /// What the program says besides.
    pub attributes: Attributes<'a>,
    /// Those that may help.
    pub threads: Threads<'a>,
}

impl<'a> Frame<'a> {
    /// # Safety
    /// `raw` is a call frame of XLA's FFI: for `'a` it and all that it points to are as c_api.h says, and nobody else uses the memory
    /// of its results. No other `Frame` is made of it.
    pub unsafe fn new(raw: *mut CallFrame) -> Frame<'a> {
        // SAFETY: the caller's promise.
        Frame(unsafe { &*raw })
    }

    /// Where the call only asks what the handler is, answers that. Whether it does.
    pub fn answer_what_this_is(&self) -> bool {
        // SAFETY: the list is the frame's.
        let Some(asked) = (unsafe { extension::find(self.0.extensions, layout::METADATA) }) else { return false };
        // SAFETY: the extension's kind says what it is; XLA wants the answer written there.
        unsafe {
            let metadata = (*asked.cast::<layout::MetadataExtension>()).metadata;
            ((*metadata).version.major, (*metadata).version.minor) = layout::VERSION;
            (*metadata).traits = 0;
        }
        true
    }

    /// XLA's functions.
    pub fn host(&self) -> Host<'a> {
        // SAFETY: the promise of `new`.
        unsafe { Host::new(self.0.api, self.0.context) }
    }

    /// The call's memory. Takes the frame, so that memory of results is given out once.
    ///
    /// # Errors
    /// When memory is of a type that is not known here.
    pub fn into_call(self) -> Result<Call<'a>, String> {
        let frame = self.0;
        // SAFETY: the promise of `new`.
        let (inputs, outputs) = unsafe {
            let inputs = buffers(&frame.args).map(|buffer| memory::read(buffer)).collect::<Option<_>>();
            (inputs, buffers(&frame.rets).map(|buffer| memory::write(buffer)).collect::<Option<_>>())
        };
        let kind = "a kernel was given memory of a type that it does not know";
        let (inputs, outputs) = (inputs.ok_or(kind)?, outputs.ok_or(kind)?);
        Ok(Call { inputs, outputs, attributes: Attributes(&frame.attrs), threads: Threads::of(self.host()) })
    }
}

/// # Safety
/// The list is that of a call of XLA's.
unsafe fn buffers(list: &layout::Buffers) -> impl Iterator<Item = &layout::Buffer> {
    // SAFETY: the caller's promise; XLA has buffers only.
    unsafe { slice(list.buffers, list.size as usize).iter().map(|buffer| &**buffer) }
}

/// Named values of a call.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(&'a layout::Attributes);

impl<'a> Attributes<'a> {
    /// The list of numbers of this name.
    pub fn numbers(self, name: &str) -> Option<&'a [i64]> {
        let count = self.0.size as usize;
        // SAFETY: the promise of `Frame::new`; kinds say what values are.
        unsafe {
            let names = slice(self.0.names, count);
            let text = |text: &Text| slice(text.data.cast::<u8>(), text.size);
            let at = names.iter().position(|n| text(&**n) == name.as_bytes())?;
            if slice(self.0.kinds, count)[at] != layout::KIND_ARRAY {
                return None;
            }
            let list = &*slice(self.0.values, count)[at].cast::<layout::List>();
            (list.element_type == layout::S64).then(|| slice(list.data.cast(), list.size))
        }
    }
}
