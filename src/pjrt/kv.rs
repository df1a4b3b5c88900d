//! Offers the store of a run of several processes to a plugin, whose processes find each other through it: CUDA's devices and NCCL.

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;
use std::{ptr, slice};

use super::abi::api::{self, Value};
use super::abi::sys::{CallbackError, ClientCreate, Error, KvGetArgs, KvPutArgs, KvTryGetArgs};
use crate::cluster::{Cluster, Store};
use crate::error::Result;

/// Status codes of the interface.
const NOT_FOUND: c_int = 5;
const UNAVAILABLE: c_int = 14;

/// The options that make a CUDA client part of a run.
pub fn options(cluster: &Cluster) -> Vec<(String, Value)> {
    let identity = cluster.identity();
    let of = |name: &str, number: usize| (name.to_owned(), Value::Int(number as i64));
    vec![of("node_id", identity.process), of("num_nodes", identity.processes)]
}

/// Adds the callbacks to the arguments of a new client. The store is kept for as long as the process: nothing tells when a plugin stops
/// calling.
pub fn offer(args: &mut ClientCreate, store: Option<&Store>) {
    let Some(store) = store else { return };
    let user: *const Store = Box::leak(Box::new(store.clone()));
    let user: *const c_void = user.cast();
    args.kv_get = Some(get);
    args.kv_get_user = user;
    args.kv_put = Some(put);
    args.kv_put_user = user;
    args.kv_try_get = Some(try_get);
    args.kv_try_get_user = user;
}

/// # Safety
/// The arguments are those of a plugin's call, with the `user` of [`offer`].
unsafe extern "C" fn get(args: *mut KvGetArgs) -> *mut Error {
    // SAFETY: guaranteed by the caller; the store is never freed.
    unsafe {
        let a = &mut *args;
        let (store, key) = (&*a.user.cast::<Store>(), bytes(a.key, a.key_size));
        let within = Duration::from_millis(u64::try_from(a.timeout_in_ms).unwrap_or(0));
        match found(store.get(key, within), key) {
            Ok(value) => {
                (a.value, a.value_size, a.free_value) = give(&value);
                ptr::null_mut()
            }
            Err((code, message)) => error(a.callback_error, code, &message),
        }
    }
}

/// # Safety
/// As for [`get`].
unsafe extern "C" fn try_get(args: *mut KvTryGetArgs) -> *mut Error {
    // SAFETY: guaranteed by the caller; the store is never freed.
    unsafe {
        let a = &mut *args;
        let (store, key) = (&*a.user.cast::<Store>(), bytes(a.key, a.key_size));
        match found(store.try_get(key), key) {
            Ok(value) => {
                (a.value, a.value_size, a.free_value) = give(&value);
                ptr::null_mut()
            }
            Err((code, message)) => error(a.callback_error, code, &message),
        }
    }
}

/// # Safety
/// As for [`get`].
unsafe extern "C" fn put(args: *mut KvPutArgs) -> *mut Error {
    // SAFETY: guaranteed by the caller; the store is never freed.
    unsafe {
        let a = &*args;
        let store = &*a.user.cast::<Store>();
        match store.put(bytes(a.key, a.key_size), bytes(a.value, a.value_size)) {
            Ok(()) => ptr::null_mut(),
            Err(cause) => error(a.callback_error, UNAVAILABLE, &cause.to_string()),
        }
    }
}

/// A value, or the code and the message of an error.
fn found(value: Result<Option<Vec<u8>>>, key: &[u8]) -> std::result::Result<Vec<u8>, (c_int, String)> {
    match value {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err((NOT_FOUND, format!("no process has set {}", String::from_utf8_lossy(key)))),
        Err(cause) => Err((UNAVAILABLE, cause.to_string())),
    }
}

/// # Safety
/// The pointer is that of so many bytes, which live for `'a`; any pointer for none.
unsafe fn bytes<'a>(data: *const c_char, size: usize) -> &'a [u8] {
    // SAFETY: guaranteed by the caller.
    unsafe { api::slice(data.cast(), size) }
}

/// # Safety
/// The function is the plugin's.
unsafe fn error(make: *const CallbackError, code: c_int, message: &str) -> *mut Error {
    // SAFETY: guaranteed by the caller; the function copies the message.
    unsafe { (*make)(code, message.as_ptr().cast(), message.len()) }
}

/// The size of the number of bytes before a value, with which it is freed.
const HEAD: usize = size_of::<usize>();

type Given = (*mut c_char, usize, Option<unsafe extern "C" fn(*mut c_char)>);

/// Memory with a value, which the plugin frees.
fn give(value: &[u8]) -> Given {
    let whole: Box<[u8]> = [&(HEAD + value.len()).to_ne_bytes()[..], value].concat().into();
    let start = Box::into_raw(whole).cast::<u8>();
    // SAFETY: the memory begins with a head of this size.
    (unsafe { start.add(HEAD) }.cast(), value.len(), Some(free))
}

/// # Safety
/// The value is one of [`give`], and nothing uses it any more.
unsafe extern "C" fn free(value: *mut c_char) {
    if value.is_null() {
        return;
    }
    // SAFETY: guaranteed by the caller: before the value is the size of the whole allocation.
    unsafe {
        let start = value.cast::<u8>().sub(HEAD);
        let size = usize::from_ne_bytes(slice::from_raw_parts(start, HEAD).try_into().expect("a head"));
        drop(Box::from_raw(ptr::slice_from_raw_parts_mut(start, size)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_given_and_freed() {
        for value in [&b""[..], b"\0binary\xff"] {
            let (data, size, free) = give(value);
            // SAFETY: the value is alive until it is freed, once.
            unsafe {
                assert_eq!(bytes(data, size), value);
                (free.expect("a function"))(data);
                super::free(ptr::null_mut());
            }
        }
    }
}
