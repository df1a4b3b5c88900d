//! A plugin's function table: checked calls, PJRT errors as [`Error`], options and attributes.

use std::ffi::{c_char, c_int};
use std::mem::size_of;
use std::ptr::NonNull;

use super::extension::{self, Extension};
use super::sys::{self, Args, Arguments, Call, NamedValue, Report};
use crate::error::{Error, ErrorKind, Result};

/// The function table of one plugin. Plugins are never unloaded, so it lives as long as the process.
///
/// A pointer rather than a reference to the head: a reference would not cover the slots after the head.
#[derive(Clone, Copy)]
pub struct Api(NonNull<sys::Api>);

// SAFETY: `PJRT_Api` of pjrt_c_api.h is a table that is not written after `GetPjrtApi`; the header binds none of its functions to a
// thread.
unsafe impl Send for Api {}
// SAFETY: as above.
unsafe impl Sync for Api {}

impl Api {
    /// Wraps a table.
    ///
    /// # Safety
    /// The table is PJRT's: it lives as long as the process, is not written, and the pointer is valid for `struct_size` bytes.
    pub unsafe fn new(table: NonNull<sys::Api>) -> Api {
        Api(table)
    }

    fn head(self) -> &'static sys::Api {
        // SAFETY: guaranteed by the caller of `new`.
        unsafe { self.0.as_ref() }
    }

    /// The major and minor version of the plugin's interface.
    pub fn version(self) -> (i32, i32) {
        (self.head().major, self.head().minor)
    }

    /// The plugin's extension of a kind, which determines its struct; it lives as long as the table.
    pub fn extension(self, kind: c_int) -> Option<*const Extension> {
        // SAFETY: the list is the plugin's, and lives as long as the process.
        unsafe { extension::find(self.head().extensions.cast_const().cast(), kind) }
    }

    /// The function in a slot, if the plugin's table is large enough and the slot is not null.
    fn function<A: Arguments>(self) -> Option<A::Function> {
        let offset = size_of::<sys::Api>() + A::SLOT * size_of::<usize>();
        if offset + size_of::<usize>() > self.head().struct_size {
            return None;
        }
        // SAFETY: the table's size covers the slot; `Arguments` defines the type of its nullable function pointer.
        unsafe { self.0.byte_add(offset).cast::<Option<A::Function>>().read() }
    }

    /// Calls a function: `fill` sets the inputs, and the returned fields contain the outputs.
    ///
    /// # Safety
    /// The pointers that `fill` sets are what the function expects, and stay valid as long as it uses them.
    pub unsafe fn call<C: Call>(self, fill: impl FnOnce(&mut C)) -> Result<C> {
        let function = self.function::<C>().ok_or_else(|| missing::<C>())?;
        let mut args = Args::<C>::zeroed();
        fill(&mut args);
        // SAFETY: the slot's function takes this struct, and the caller guarantees its pointers.
        let error = unsafe { function((&raw mut args).cast()) };
        // SAFETY: every function called through here returns null or an error that we own.
        unsafe { self.take_error(error, C::NAME) }?;
        Ok(args.into_body())
    }

    /// Releases an object with one of the `…Destroy` functions, ignoring errors.
    ///
    /// # Safety
    /// As for [`Api::call`]; the object is not used again.
    pub unsafe fn destroy<C: Call>(self, fill: impl FnOnce(&mut C)) {
        // SAFETY: guaranteed by the caller. Nothing can be done about an error while releasing.
        drop(unsafe { self.call::<C>(fill) });
    }

    /// Converts an error object to an [`Error`] and releases it; null is success.
    ///
    /// # Safety
    /// `error` is null or an error object of this plugin that nothing else releases.
    pub unsafe fn take_error(self, error: *mut sys::Error, during: &str) -> Result<()> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: the error lives until it is destroyed below, and its text as long.
        let (code, text) = unsafe {
            let message = self.report::<sys::ErrorMessage>(|a| a.error = error);
            (self.code(error), text(message.message, message.message_size))
        };
        // SAFETY: we own the error and do not use it again.
        unsafe { self.report::<sys::ErrorDestroy>(|a| a.error = error) };
        Err(failed(code, during, &text))
    }

    /// The status code of an error; 0 where the plugin does not report it.
    ///
    /// # Safety
    /// `error` is an error object of this plugin.
    unsafe fn code(self, error: *mut sys::Error) -> c_int {
        let mut args = Args::<sys::ErrorGetCode>::zeroed();
        args.error = error;
        if let Some(function) = self.function::<sys::ErrorGetCode>() {
            // SAFETY: the slot's function takes this struct. It returns null, since an error about an error could not be reported.
            unsafe { function((&raw mut args).cast()) };
        }
        args.code
    }

    /// Calls a function that returns nothing.
    ///
    /// # Safety
    /// As for [`Api::call`].
    unsafe fn report<C: Report>(self, fill: impl FnOnce(&mut C)) -> C {
        let mut args = Args::<C>::zeroed();
        fill(&mut args);
        if let Some(function) = self.function::<C>() {
            // SAFETY: the slot's function takes this struct, and the caller guarantees its pointers.
            unsafe { function((&raw mut args).cast()) };
        }
        args.into_body()
    }
}

/// An error from a plugin's status code and text.
pub fn failed(code: c_int, during: &str, text: &str) -> Error {
    Error::new(ErrorKind::Pjrt(code), format!("PJRT {} ({during}): {}", code_name(code), text.trim_end()))
}

fn missing<C: Call>() -> Error {
    Error::new(ErrorKind::Pjrt(12), format!("this plugin does not have PJRT's function {}", C::NAME))
}

/// A plugin's text, given as a pointer and a length.
///
/// # Safety
/// `data` is null or points to `size` readable bytes.
pub unsafe fn text(data: *const c_char, size: usize) -> String {
    // SAFETY: guaranteed by the caller.
    String::from_utf8_lossy(unsafe { slice(data.cast::<u8>(), size) }).into_owned()
}

/// A plugin's list, given as a pointer and a length; null is an empty list.
///
/// # Safety
/// `data` is null or points to `size` values that live for `'a`.
pub unsafe fn slice<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if data.is_null() || size == 0 {
        return &[];
    }
    // SAFETY: not null, and guaranteed by the caller.
    unsafe { std::slice::from_raw_parts(data, size) }
}

/// The name of a status code.
fn code_name(code: i32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(code).ok().and_then(|i| NAMES.get(i)).copied().unwrap_or("error with an unknown code")
}

/// The value of an option or an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// An integer.
    Int(i64),
    /// Several integers; only in plugins' attributes.
    Ints(Vec<i64>),
    /// A floating-point number.
    Float(f64),
    /// A boolean.
    Bool(bool),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Int(int) => write!(f, "{int}"),
            Value::Ints(ints) => f.write_str(&ints.iter().map(i64::to_string).collect::<Vec<_>>().join(".")),
            Value::Float(float) => write!(f, "{float}"),
            Value::Bool(bool) => write!(f, "{bool}"),
        }
    }
}

/// Reads a plugin's list of named values.
///
/// # Safety
/// `data` is null or points to `size` named values whose pointers are valid.
pub unsafe fn read_named(data: *const NamedValue, size: usize) -> Vec<(String, Value)> {
    // SAFETY: guaranteed by the caller; `kind` selects the member of the union.
    unsafe { slice(data, size).iter().map(|v| (text(v.name, v.name_size), read_value(v))).collect() }
}

/// # Safety
/// The value's pointers are valid.
unsafe fn read_value(value: &NamedValue) -> Value {
    // SAFETY: `kind` selects the member of the union.
    unsafe {
        match value.kind {
            sys::KIND_TEXT => Value::Text(text(value.value.text, value.value_size)),
            sys::KIND_INTS => Value::Ints(slice(value.value.ints, value.value_size).to_vec()),
            sys::KIND_FLOAT => Value::Float(f64::from(value.value.float)),
            sys::KIND_BOOL => Value::Bool(value.value.bool),
            _ => Value::Int(value.value.int),
        }
    }
}

/// The C form of named values. It points into `values`, which must outlive it.
pub fn write_named(values: &[(String, Value)]) -> Vec<NamedValue> {
    values.iter().map(|(name, value)| write_value(name, value)).collect()
}

fn write_value(name: &str, value: &Value) -> NamedValue {
    let (kind, data, size) = match value {
        Value::Text(t) => (sys::KIND_TEXT, sys::NamedValueData { text: t.as_ptr().cast() }, t.len()),
        Value::Int(int) => (sys::KIND_INT, sys::NamedValueData { int: *int }, 1),
        Value::Ints(ints) => (sys::KIND_INTS, sys::NamedValueData { ints: ints.as_ptr() }, ints.len()),
        Value::Float(float) => (sys::KIND_FLOAT, sys::NamedValueData { float: *float as f32 }, 1),
        Value::Bool(bool) => (sys::KIND_BOOL, sys::NamedValueData { bool: *bool }, 1),
    };
    NamedValue {
        struct_size: size_of::<NamedValue>(),
        extensions: std::ptr::null_mut(),
        name: name.as_ptr().cast(),
        name_size: name.len(),
        kind,
        value: data,
        value_size: size,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use super::super::fake;
    use super::*;

    /// An error object of the table below.
    struct Fault {
        code: c_int,
        text: &'static str,
    }

    unsafe extern "C" fn initialize(_: *mut Args<sys::PluginInitialize>) -> *mut sys::Error {
        Box::into_raw(Box::new(Fault { code: 3, text: "a shape is wrong" })).cast()
    }

    unsafe extern "C" fn message(args: *mut Args<sys::ErrorMessage>) {
        // SAFETY: these are the arguments of a call, and the error is one of these.
        unsafe {
            let args = &mut *args;
            let text = (*args.error.cast::<Fault>()).text;
            (args.message, args.message_size) = (text.as_ptr().cast(), text.len());
        }
    }

    unsafe extern "C" fn code(args: *mut Args<sys::ErrorGetCode>) -> *mut sys::Error {
        // SAFETY: as above.
        unsafe {
            let args = &mut *args;
            args.code = (*args.error.cast::<Fault>()).code;
        }
        std::ptr::null_mut()
    }

    unsafe extern "C" fn destroy(args: *mut Args<sys::ErrorDestroy>) {
        // SAFETY: as above; the caller returns the error.
        unsafe {
            let args = &*args;
            drop(Box::from_raw(args.error.cast::<Fault>()));
        }
    }

    /// Under Miri: slots are beyond the reach of a reference to the head, two of them return nothing, and no error leaks.
    #[test]
    fn an_error_is_told_and_released() {
        let api = fake::api(&[
            (0, destroy as *const c_void),
            (1, message as *const c_void),
            (2, code as *const c_void),
            (3, initialize as *const c_void),
        ]);
        // SAFETY: the function takes no pointers.
        let told = unsafe { api.call::<sys::PluginInitialize>(|_| {}) }.map(drop).expect_err("an error");
        assert_eq!(told.to_string(), "PJRT INVALID_ARGUMENT (PluginInitialize): a shape is wrong");
    }

    #[test]
    fn slots_that_are_empty_or_beyond_the_table_are_missing() {
        let api = fake::api(&[(3, std::ptr::null())]);
        // SAFETY: the functions are missing.
        let missing = unsafe {
            [api.call::<sys::PluginInitialize>(|_| {}).is_err(), api.call::<sys::BufferDestroy>(|_| {}).is_err()]
        };
        assert_eq!((missing, api.version()), ([true; 2], sys::OLDEST));
    }
}
