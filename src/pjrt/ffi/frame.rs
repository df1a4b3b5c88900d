//! Call frames of XLA: operands, results and attributes.

use super::super::abi::api::slice;
use super::super::abi::extension;
use super::host::Host;
use super::layout::{self, CallFrame, Text};
use super::memory::{self, Read, Write};
use super::threads::Threads;
use super::version::{self, Told};

/// A call frame of XLA that lives for `'a`. Its contents are trusted.
pub struct Frame<'a>(&'a CallFrame);

/// The inputs and outputs of a custom call.
pub struct Call<'a> {
    /// Operands.
    pub inputs: Vec<Read<'a>>,
    /// Memory for results. Its contents are arbitrary, and it does not overlap operands.
    pub outputs: Vec<Write<'a>>,
    /// Attributes of the call.
    pub attributes: Attributes<'a>,
    /// Threads that the handler may use.
    pub threads: Threads<'a>,
}

impl Call<'_> {
    /// Bytes of operands and results.
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(Read::bytes).sum::<u64>() + self.outputs.iter().map(Write::bytes).sum::<u64>()
    }
}

impl<'a> Frame<'a> {
    /// # Safety
    /// `raw` is a call frame of XLA's FFI: for `'a` it and everything it points to match c_api.h, and nothing else uses the memory
    /// of its results. No other `Frame` is created from it.
    pub unsafe fn new(raw: *mut CallFrame) -> Frame<'a> {
        // SAFETY: guaranteed by the caller.
        Frame(unsafe { &*raw })
    }

    /// Answers a metadata query, if the frame is one, and keeps what it tells about XLA. Returns whether it is one.
    pub fn answer_what_this_is(&self) -> bool {
        // SAFETY: the list is the frame's.
        let Some(asked) = (unsafe { extension::find(self.0.extensions, layout::METADATA) }) else { return false };
        // SAFETY: the extension's kind determines its struct, into which XLA expects the answer to be written. The heads of structs, their
        // sizes included, are the same in all versions.
        unsafe {
            let metadata = (*asked.cast::<layout::MetadataExtension>()).metadata;
            let told = Told {
                version: self.0.api.as_ref().map(|api| (api.version.major, api.version.minor)),
                frame: self.0.struct_size,
                answer: (&raw const (*metadata).struct_size).read(),
            };
            version::keep(told);
            // XLA refuses a handler that does not answer, as it should then.
            if told.answer >= version::ANSWER {
                (&raw mut (*metadata).version.major).write(layout::VERSION.0);
                (&raw mut (*metadata).version.minor).write(layout::VERSION.1);
                (&raw mut (*metadata).traits).write(0);
            }
        }
        true
    }

    /// XLA's function table.
    pub fn host(&self) -> Host<'a> {
        // SAFETY: guaranteed by the caller of `new`.
        unsafe { Host::new(self.0.api, self.0.context) }
    }

    /// The memory and attributes of the call. Consumes the frame, so the memory of results is handed out only once.
    ///
    /// # Errors
    /// Memory of an unsupported type, or misaligned.
    pub fn into_call(self) -> Result<Call<'a>, String> {
        let frame = self.0;
        // SAFETY: guaranteed by the caller of `new`.
        let (inputs, outputs) = unsafe {
            let inputs = buffers(&frame.args).map(|buffer| memory::read(buffer)).collect::<Option<_>>();
            (inputs, buffers(&frame.rets).map(|buffer| memory::write(buffer)).collect::<Option<_>>())
        };
        let kind = "a kernel received memory of an unsupported type";
        let (inputs, outputs) = (inputs.ok_or(kind)?, outputs.ok_or(kind)?);
        Ok(Call { inputs, outputs, attributes: Attributes(&frame.attrs), threads: Threads::of(self.host()) })
    }
}

/// # Safety
/// The list belongs to a call of XLA.
unsafe fn buffers(list: &layout::Buffers) -> impl Iterator<Item = &layout::Buffer> {
    // SAFETY: guaranteed by the caller; XLA only passes buffers.
    unsafe { slice(list.buffers, list.size as usize).iter().map(|buffer| &**buffer) }
}

/// Named values of a call.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(&'a layout::Attributes);

impl<'a> Attributes<'a> {
    /// # Safety
    /// As for [`Frame::new`].
    pub(super) unsafe fn of(frame: &'a CallFrame) -> Attributes<'a> {
        Attributes(&frame.attrs)
    }

    /// The list of integers with this name.
    pub fn numbers(self, name: &str) -> Option<&'a [i64]> {
        let count = self.0.size as usize;
        // SAFETY: guaranteed by the caller of `Frame::new`; kinds give the types of values.
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
