//! Key-value callbacks: a CUDA plugin finds the devices of other processes, and NCCL its peers, through the store of the run.

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

/// Adds the callbacks to the arguments of a new client. The store is leaked, because a plugin may call until the process ends.
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
                (a.value, a.value_size, a.free_value) = allocate(&value);
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
                (a.value, a.value_size, a.free_value) = allocate(&value);
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
/// The pointer refers to `size` bytes that live for `'a`; it may be anything if `size` is 0.
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

/// The bytes in front of a value that hold the size of its allocation.
const HEAD: usize = size_of::<usize>();

type Allocated = (*mut c_char, usize, Option<unsafe extern "C" fn(*mut c_char)>);

/// Allocates a value for the plugin to free.
fn allocate(value: &[u8]) -> Allocated {
    let whole: Box<[u8]> = [&(HEAD + value.len()).to_ne_bytes()[..], value].concat().into();
    let start = Box::into_raw(whole).cast::<u8>();
    // SAFETY: the memory begins with a head of this size.
    (unsafe { start.add(HEAD) }.cast(), value.len(), Some(free))
}

/// # Safety
/// The value is one of [`allocate`], and nothing uses it any more.
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
    use std::mem;

    use super::*;
    use crate::cluster::{Identity, Limits};

    /// Makes an error as a plugin does: here, one that is only null or not.
    unsafe extern "C" fn callback_error(code: c_int, _: *const c_char, _: usize) -> *mut Error {
        ptr::without_provenance_mut(code as usize)
    }

    /// The run of two processes, here threads, in which both call the callbacks as a plugin does.
    #[test]
    fn a_plugin_reads_what_another_process_wrote() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let join = move |process| {
            let identity = Identity { coordinator: format!("127.0.0.1:{port}"), processes: 2, process };
            Cluster::join(&identity, Limits::default()).expect("two processes")
        };
        let writing = std::thread::spawn(move || {
            let cluster = join(1);
            // SAFETY: all fields may be zero, and the callbacks receive live memory.
            unsafe {
                let mut create: ClientCreate = mem::zeroed();
                offer(&mut create, Some(cluster.store()));
                let mut args: KvPutArgs = mem::zeroed();
                (args.key, args.key_size) = (b"id".as_ptr().cast(), 2);
                (args.value, args.value_size) = (b"\0nccl\xff".as_ptr().cast(), 6);
                args.callback_error = &raw const CALLBACK_ERROR;
                args.user = create.kv_put_user;
                assert!(create.kv_put.expect("a callback")(&raw mut args).is_null());
            }
            cluster.leave().expect("no process is lost");
        });
        let cluster = join(0);
        // SAFETY: as above; the value is freed once.
        unsafe {
            let mut create: ClientCreate = mem::zeroed();
            offer(&mut create, Some(cluster.store()));
            let mut args: KvGetArgs = mem::zeroed();
            (args.key, args.key_size, args.timeout_in_ms) = (b"id".as_ptr().cast(), 2, 60_000);
            args.callback_error = &raw const CALLBACK_ERROR;
            args.user = create.kv_get_user;
            assert!(create.kv_get.expect("a callback")(&raw mut args).is_null());
            assert_eq!(bytes(args.value, args.value_size), b"\0nccl\xff");
            (args.free_value.expect("a function"))(args.value);
            let mut args: KvTryGetArgs = mem::zeroed();
            (args.key, args.key_size) = (b"no".as_ptr().cast(), 2);
            args.callback_error = &raw const CALLBACK_ERROR;
            args.user = create.kv_try_get_user;
            assert_eq!(create.kv_try_get.expect("a callback")(&raw mut args).addr(), NOT_FOUND as usize);
        }
        cluster.leave().expect("no process is lost");
        writing.join().expect("no panic");
    }

    static CALLBACK_ERROR: CallbackError = callback_error;

    #[test]
    fn values_are_allocated_and_freed() {
        for value in [&b""[..], b"\0binary\xff"] {
            let (data, size, free) = allocate(value);
            // SAFETY: the value is alive until it is freed, once.
            unsafe {
                assert_eq!(bytes(data, size), value);
                (free.expect("a function"))(data);
                super::free(ptr::null_mut());
            }
        }
    }
}
