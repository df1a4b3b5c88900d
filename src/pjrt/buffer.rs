//! Tensors in device memory, and their transfers from and to the host.

use std::ffi::c_void;
use std::fmt;
use std::mem::size_of;
use std::sync::Arc;

use spiq_hlo::{Array, DType, Kind, Leaf, TensorType};

use super::abi::sys::{self, Args, TiledLayout};
use super::device::Device;
use super::element_type;
use super::event::Event;
use super::raw_client::RawClient;
use crate::error::{Error, ErrorKind, Result};

/// Arrays of up to this many bytes are copied during the call; larger ones are kept alive and copied asynchronously.
const COPIED_AT_ONCE: usize = 64 << 10;

/// A tensor in device memory. Its value may still be pending: reads wait for it, and report errors of its computation.
///
/// Clones are cheap and share the memory: if one is donated or deleted, so are all, and reading them is an error.
#[derive(Clone)]
pub struct Buffer {
    held: Arc<Held>,
    ty: TensorType,
}

/// Releases the buffer when the last clone is dropped.
struct Held {
    client: Arc<RawClient>,
    raw: *mut sys::Buffer,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_Buffer` to no thread: programs on the plugin's threads read it while others hold it, and
// queries of a deleted buffer are allowed.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}

impl Buffer {
    /// Takes ownership of a buffer of a known type.
    ///
    /// # Safety
    /// `raw` is a buffer of this client and of this type that nothing else releases.
    pub(super) unsafe fn new(client: Arc<RawClient>, raw: *mut sys::Buffer, ty: TensorType) -> Buffer {
        Buffer { held: Arc::new(Held { client, raw }), ty }
    }

    pub(super) fn from_array(device: &Device, array: &Array) -> Result<Buffer> {
        let client = device.client();
        let dims = signed(array.dims());
        let at_once = array.bytes().len() <= COPIED_AT_ONCE;
        // SAFETY: the array holds the number of bytes that its type implies. They stay alive for the call, or else until the event below.
        let made = unsafe {
            client.api.call::<sys::ClientBufferFromHostBuffer>(|a| {
                a.client = client.raw;
                a.data = array.bytes().as_ptr().cast();
                a.element_type = element_type::to_pjrt(array.dtype());
                (a.dims, a.num_dims) = (dims.as_ptr(), dims.len());
                a.device = device.raw();
                a.semantics = match at_once {
                    true => sys::IMMUTABLE_ONLY_DURING_CALL,
                    false => sys::IMMUTABLE_UNTIL_TRANSFER_COMPLETES,
                };
            })
        }?;
        // SAFETY: we own the buffer, which has the array's type.
        let buffer = unsafe { Buffer::new(client.clone(), made.buffer, array.ty().clone()) };
        // SAFETY: the event is null or owned by us.
        let read = (!made.done_with_host_buffer.is_null())
            .then(|| unsafe { Event::new(client.api, made.done_with_host_buffer) });
        if !at_once {
            keep_until(read, || buffer.wait(), array.clone())?;
        }
        Ok(buffer)
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// Size of each axis.
    pub fn dims(&self) -> &[usize] {
        &self.ty.dims
    }

    /// Waits for the value and copies it to the host.
    ///
    /// # Errors
    /// Errors of its computation; a deleted buffer.
    pub fn to_array(&self) -> Result<Array> {
        self.start_to_host()?.wait()
    }

    /// Starts copying the value to the host and returns immediately.
    ///
    /// # Errors
    /// A deleted buffer; later errors come from [`PendingArray::wait`].
    pub fn start_to_host(&self) -> Result<PendingArray> {
        let size = self.ty.count() * self.ty.dtype.host_bytes();
        let mut bytes = Arc::<[u8]>::new_uninit_slice(size);
        let target = Arc::get_mut(&mut bytes).expect("nobody else holds it yet").as_mut_ptr();
        // SAFETY: the slice has `size` bytes. Zeroing initializes them whatever the plugin writes.
        let (bytes, target) = unsafe {
            target.write_bytes(0, size);
            (bytes.assume_init(), target.cast::<c_void>())
        };
        let order: Vec<i64> = (0..self.ty.rank() as i64).rev().collect();
        let layout = row_major(&order);
        // SAFETY: the target has the stated size and lives until the event: `PendingArray` waits before it frees it.
        let event = unsafe {
            let sent = self.held.client.api.call::<sys::BufferToHostBuffer>(|a| {
                a.source = self.held.raw;
                a.layout = &raw const layout;
                (a.destination, a.size) = (target, size);
            })?;
            Event::new(self.held.client.api, sent.event)
        };
        Ok(PendingArray { event, ty: self.ty.clone(), bytes, arrived: false, _client: self.held.client.clone() })
    }

    /// Waits until the value is available.
    ///
    /// # Errors
    /// Errors of its computation.
    pub fn wait(&self) -> Result<()> {
        self.ready_event()?.wait()
    }

    /// Whether the value is available.
    ///
    /// # Errors
    /// A deleted buffer.
    pub fn is_ready(&self) -> Result<bool> {
        self.ready_event()?.is_ready()
    }

    /// The device that holds it.
    ///
    /// # Errors
    /// Errors from PJRT.
    pub fn device(&self) -> Result<Device> {
        // SAFETY: the buffer is alive.
        let raw = unsafe { self.held.client.api.call::<sys::BufferDevice>(|a| a.buffer = self.held.raw) }?.device;
        let index = self.held.client.devices.iter().position(|device| device.raw == raw);
        let index = index.ok_or_else(|| Error::new(ErrorKind::Pjrt(13), "a buffer is on an unknown device"))?;
        Ok(Device::new(self.held.client.clone(), index))
    }

    /// A copy on another device of the same client.
    ///
    /// # Errors
    /// Errors from PJRT; a device of another client.
    pub fn copy_to(&self, device: &Device) -> Result<Buffer> {
        if !Arc::ptr_eq(device.client(), &self.held.client) {
            return Err(Error::input("the device belongs to another client"));
        }
        // SAFETY: buffer and device are alive and belong to the same client.
        let made = unsafe {
            self.held.client.api.call::<sys::BufferCopyToDevice>(|a| {
                a.buffer = self.held.raw;
                a.device = device.raw();
            })
        }?;
        // SAFETY: we own the copy, which has the same type.
        Ok(unsafe { Buffer::new(self.held.client.clone(), made.copy, self.ty.clone()) })
    }

    /// Size in device memory, in bytes.
    ///
    /// # Errors
    /// A deleted buffer.
    pub fn device_bytes(&self) -> Result<usize> {
        // SAFETY: the buffer is alive.
        Ok(unsafe { self.held.client.api.call::<sys::BufferOnDeviceSizeInBytes>(|a| a.buffer = self.held.raw) }?.size)
    }

    /// Frees the device memory now; programs that are using it finish first.
    ///
    /// # Errors
    /// Errors from PJRT.
    pub fn delete(&self) -> Result<()> {
        // SAFETY: the buffer is alive; deleting it twice is allowed.
        unsafe { self.held.client.api.call::<sys::BufferDelete>(|a| a.buffer = self.held.raw) }.map(drop)
    }

    /// Whether its memory was freed or donated.
    pub fn is_deleted(&self) -> bool {
        // SAFETY: the buffer is alive.
        let asked = unsafe { self.held.client.api.call::<sys::BufferIsDeleted>(|a| a.buffer = self.held.raw) };
        asked.map_or(true, |a| a.is_deleted)
    }

    pub(super) fn raw(&self) -> *mut sys::Buffer {
        self.held.raw
    }

    pub(super) fn client(&self) -> &Arc<RawClient> {
        &self.held.client
    }

    fn ready_event(&self) -> Result<Event> {
        // SAFETY: the buffer is alive, and we own the event.
        unsafe {
            let got = self.held.client.api.call::<sys::BufferReadyEvent>(|a| a.buffer = self.held.raw)?;
            Ok(Event::new(self.held.client.api, got.event))
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: we own the buffer and do not use it again; the plugin keeps memory that running programs need.
        unsafe { self.client.api.destroy::<sys::BufferDestroy>(|a| a.buffer = self.raw) };
    }
}

impl Leaf for Buffer {}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({}{})", self.ty, if self.is_deleted() { ", deleted" } else { "" })
    }
}

/// An array in transfer to the host.
pub struct PendingArray {
    // Fields are dropped in order, so the event is released before the client.
    event: Event,
    ty: TensorType,
    bytes: Arc<[u8]>,
    arrived: bool,
    _client: Arc<RawClient>,
}

impl PendingArray {
    /// Waits for the array.
    ///
    /// # Errors
    /// Errors of its computation or of the copy.
    pub fn wait(mut self) -> Result<Array> {
        self.arrived = true;
        self.event.wait()?;
        let mut bytes = std::mem::take(&mut self.bytes);
        if let (Kind::Signed, spare @ 1..) = (self.ty.dtype.kind(), 8usize.saturating_sub(self.ty.dtype.bits())) {
            let bytes = Arc::get_mut(&mut bytes).expect("nobody else holds it yet");
            bytes.iter_mut().for_each(|byte| *byte = sign_extended(*byte, spare));
        }
        let array = Array::from_bytes(self.ty.clone(), bytes);
        Ok(array.expect("as many bytes as the type says"))
    }

    /// Whether the array has arrived.
    ///
    /// # Errors
    /// Errors from PJRT.
    pub fn is_ready(&self) -> Result<bool> {
        self.event.is_ready()
    }
}

impl Drop for PendingArray {
    fn drop(&mut self) {
        if !self.arrived {
            // The plugin writes into `bytes` until the event fires, so they must stay alive; an error no longer matters.
            drop(self.event.wait());
        }
    }
}

impl fmt::Debug for PendingArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingArray({})", self.ty)
    }
}

/// Sign-extends a sub-byte element: PJRT leaves the upper bits zero, whereas an [`Array`] stores the byte's full value.
fn sign_extended(byte: u8, spare: usize) -> u8 {
    ((byte << spare).cast_signed() >> spare).cast_unsigned()
}

/// Keeps an array alive until the event `read`, which fires once the plugin has read it. A plugin without that event may still be
/// reading: then the array is kept until the copy is complete, which `arrives` waits for.
fn keep_until(read: Option<Event>, arrives: impl FnOnce() -> Result<()>, array: Array) -> Result<()> {
    match read {
        Some(read) => read.keep(array),
        None => arrives().inspect_err(|_| {
            // The plugin's state is unknown: leaking the array is safe, freeing it may not be.
            std::mem::forget(array);
        }),
    }
}

/// The host's row-major layout, whatever the device's layout is.
fn row_major(order: &[i64]) -> Args<TiledLayout> {
    let mut layout = Args::<TiledLayout>::zeroed();
    layout.tiled_struct_size = 7 * size_of::<usize>();
    (layout.minor_to_major, layout.minor_to_major_size) = (order.as_ptr(), order.len());
    layout.kind = sys::LAYOUT_TILED;
    layout
}

fn signed(dims: &[usize]) -> Vec<i64> {
    dims.iter().map(|&dim| dim as i64).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ffi::{c_char, c_int};
    use std::ptr;

    use super::super::abi::fake;
    use super::*;

    type Callback = (unsafe extern "C" fn(*mut sys::Error, *mut c_void), *mut c_void);

    thread_local! {
        static CALLBACK: RefCell<Option<Callback>> = const { RefCell::new(None) };
    }

    unsafe extern "C" fn on_ready(args: *mut Args<sys::EventOnReady>) -> *mut sys::Error {
        // SAFETY: these are the arguments of a call.
        let args = unsafe { &*args };
        CALLBACK.set(Some((args.callback.expect("a callback"), args.user)));
        ptr::null_mut()
    }

    unsafe extern "C" fn destroy(_: *mut Args<sys::EventDestroy>) -> *mut sys::Error {
        ptr::null_mut()
    }

    fn array() -> Array {
        Array::new([4], vec![1.0f32, 2.0, 3.0, 4.0]).expect("four elements")
    }

    /// Reads the bytes late, as a plugin may.
    fn sum(bytes: *const c_char) -> c_int {
        // SAFETY: the array has 16 bytes if it is still alive; Miri checks that.
        (0..16).map(|i| unsafe { c_int::from(*bytes.add(i)) }).sum()
    }

    #[test]
    fn an_array_stays_until_the_event() {
        let api = fake::api(&[(9, on_ready as *const c_void), (5, destroy as *const c_void)]);
        let array = array();
        let (bytes, wanted) = (array.bytes().as_ptr().cast(), sum(array.bytes().as_ptr().cast()));
        // SAFETY: the functions above do not dereference the event.
        let event = unsafe { Event::new(api, ptr::dangling_mut()) };
        keep_until(Some(event), || unreachable!("there is an event"), array).expect("a callback");
        assert_eq!(sum(bytes), wanted);
        let (callback, user) = CALLBACK.take().expect("it was set");
        // SAFETY: the event fires once.
        unsafe { callback(ptr::null_mut(), user) };
    }

    #[test]
    fn without_an_event_it_stays_until_the_copy_is_there() {
        let array = array();
        let bytes = array.bytes().as_ptr().cast();
        let wanted = sum(bytes);
        let mut read = None;
        let arrives = || {
            read = Some(sum(bytes));
            Ok(())
        };
        keep_until(None, arrives, array).expect("no error");
        assert_eq!(read, Some(wanted));
    }
}
