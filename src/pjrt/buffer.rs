//! A tensor in a device's memory, and its way there and back. Knows nothing of programs.

use std::ffi::c_void;
use std::fmt;
use std::mem::size_of;
use std::sync::Arc;

use spiq_hlo::{Array, DType, Kind, TensorType};

use super::abi::sys::{self, Args, TiledLayout};
use super::device::Device;
use super::element_type;
use super::event::Event;
use super::raw_client::RawClient;
use crate::error::{Error, ErrorKind, Result};

/// Up to this many bytes an array is copied during the call; larger ones are kept alive and copied beside it.
const COPIED_AT_ONCE: usize = 64 << 10;

/// A tensor in a device's memory. It may still be being computed: what reads it waits, and reports what went wrong.
pub struct Buffer {
    client: Arc<RawClient>,
    raw: *mut sys::Buffer,
    ty: TensorType,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_Buffer` to no thread: programs on the plugin's own threads read it while others hold it, and a
// deleted one may still be asked.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Takes over a buffer of a known type.
    ///
    /// # Safety
    /// `raw` is a buffer of this client and of this type that nobody else releases.
    pub(super) unsafe fn new(client: Arc<RawClient>, raw: *mut sys::Buffer, ty: TensorType) -> Buffer {
        Buffer { client, raw, ty }
    }

    pub(super) fn from_array(device: &Device, array: &Array) -> Result<Buffer> {
        let client = device.client();
        let dims = signed(array.dims());
        let at_once = array.bytes().len() <= COPIED_AT_ONCE;
        // SAFETY: the array holds as many bytes as its type says. They stay for the call, or else until the event below.
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
        let buffer = Buffer { client: client.clone(), raw: made.buffer, ty: array.ty().clone() };
        // SAFETY: the event is null or handed to us.
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
    /// What went wrong while it was computed, or that it is deleted.
    pub fn to_array(&self) -> Result<Array> {
        self.start_to_host()?.wait()
    }

    /// Starts to copy the value to the host and returns at once.
    ///
    /// # Errors
    /// That it is deleted; later errors come from [`PendingArray::wait`].
    pub fn start_to_host(&self) -> Result<PendingArray> {
        let size = self.ty.count() * self.ty.dtype.host_bytes();
        let mut bytes = Arc::<[u8]>::new_uninit_slice(size);
        let target = Arc::get_mut(&mut bytes).expect("nobody else holds it yet").as_mut_ptr();
        // SAFETY: there is room for `size` bytes. Zeros make the room readable whatever the plugin writes.
        let (bytes, target) = unsafe {
            target.write_bytes(0, size);
            (bytes.assume_init(), target.cast::<c_void>())
        };
        let order: Vec<i64> = (0..self.ty.rank() as i64).rev().collect();
        let layout = row_major(&order);
        // SAFETY: the target is as large as stated and stays until the event: `PendingArray` waits before it lets go of it.
        let event = unsafe {
            let sent = self.client.api.call::<sys::BufferToHostBuffer>(|a| {
                a.source = self.raw;
                a.layout = &raw const layout;
                (a.destination, a.size) = (target, size);
            })?;
            Event::new(self.client.api, sent.event)
        };
        Ok(PendingArray { event, ty: self.ty.clone(), bytes, arrived: false, _client: self.client.clone() })
    }

    /// Waits until the value is there.
    ///
    /// # Errors
    /// What went wrong while it was computed.
    pub fn wait(&self) -> Result<()> {
        self.ready_event()?.wait()
    }

    /// Whether the value is there.
    ///
    /// # Errors
    /// That the buffer is deleted.
    pub fn is_ready(&self) -> Result<bool> {
        self.ready_event()?.is_ready()
    }

    /// The device that holds it.
    ///
    /// # Errors
    /// Of PJRT.
    pub fn device(&self) -> Result<Device> {
        // SAFETY: the buffer lives.
        let raw = unsafe { self.client.api.call::<sys::BufferDevice>(|a| a.buffer = self.raw) }?.device;
        let index = self.client.devices.iter().position(|device| device.raw == raw);
        let index = index.ok_or_else(|| Error::new(ErrorKind::Pjrt(13), "a buffer lies on an unknown device"))?;
        Ok(Device::new(self.client.clone(), index))
    }

    /// A copy on another device of the same client.
    ///
    /// # Errors
    /// Of PJRT; also when the device is another client's.
    pub fn copy_to(&self, device: &Device) -> Result<Buffer> {
        if !Arc::ptr_eq(device.client(), &self.client) {
            return Err(Error::input("the device belongs to another client"));
        }
        // SAFETY: buffer and device live and are of one client.
        let made = unsafe {
            self.client.api.call::<sys::BufferCopyToDevice>(|a| {
                a.buffer = self.raw;
                a.device = device.raw();
            })
        }?;
        Ok(Buffer { client: self.client.clone(), raw: made.copy, ty: self.ty.clone() })
    }

    /// Bytes of device memory.
    ///
    /// # Errors
    /// That the buffer is deleted.
    pub fn device_bytes(&self) -> Result<usize> {
        // SAFETY: the buffer lives.
        Ok(unsafe { self.client.api.call::<sys::BufferOnDeviceSizeInBytes>(|a| a.buffer = self.raw) }?.size)
    }

    /// Frees the device memory now; what still computes with it finishes first.
    ///
    /// # Errors
    /// Of PJRT.
    pub fn delete(&self) -> Result<()> {
        // SAFETY: the buffer lives; a deleted one may still be asked.
        unsafe { self.client.api.call::<sys::BufferDelete>(|a| a.buffer = self.raw) }.map(drop)
    }

    /// Whether its memory was freed or given away.
    pub fn is_deleted(&self) -> bool {
        // SAFETY: the buffer lives.
        let asked = unsafe { self.client.api.call::<sys::BufferIsDeleted>(|a| a.buffer = self.raw) };
        asked.map_or(true, |a| a.is_deleted)
    }

    pub(super) fn raw(&self) -> *mut sys::Buffer {
        self.raw
    }

    pub(super) fn client(&self) -> &Arc<RawClient> {
        &self.client
    }

    fn ready_event(&self) -> Result<Event> {
        // SAFETY: the buffer lives, and the event is handed to us.
        unsafe {
            let got = self.client.api.call::<sys::BufferReadyEvent>(|a| a.buffer = self.raw)?;
            Ok(Event::new(self.client.api, got.event))
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the buffer is ours and not used again; the plugin keeps what running programs need.
        unsafe { self.client.api.destroy::<sys::BufferDestroy>(|a| a.buffer = self.raw) };
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({}{})", self.ty, if self.is_deleted() { ", deleted" } else { "" })
    }
}

/// An array on its way to the host.
pub struct PendingArray {
    // The event's release comes before that of the client, as fields are dropped in order.
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
    /// What went wrong while it was computed or copied.
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

    /// Whether the array is there.
    ///
    /// # Errors
    /// Of PJRT.
    pub fn is_ready(&self) -> Result<bool> {
        self.event.is_ready()
    }
}

impl Drop for PendingArray {
    fn drop(&mut self) {
        if !self.arrived {
            // The plugin writes into `bytes` until the event, so they must stay; what went wrong interests nobody now.
            drop(self.event.wait());
        }
    }
}

impl fmt::Debug for PendingArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingArray({})", self.ty)
    }
}

/// PJRT leaves the upper bits of a signed sub-byte element zero; an [`Array`] holds the whole byte's value.
fn sign_extended(byte: u8, spare: usize) -> u8 {
    ((byte << spare).cast_signed() >> spare).cast_unsigned()
}

/// Keeps an array until the plugin has read it, which `read` tells. A plugin that gives no event may still read: the array is kept
/// until the copy is there, which `arrives` waits for.
fn keep_until(read: Option<Event>, arrives: impl FnOnce() -> Result<()>, array: Array) -> Result<()> {
    match read {
        Some(read) => read.keep(array),
        None => arrives().inspect_err(|_| {
            // Nobody knows what the plugin does now: leaking the array is safe, freeing it may not be.
            std::mem::forget(array);
        }),
    }
}

/// The host's layout, whatever the device's is.
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
        // SAFETY: the arguments are a call's.
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

    /// What a plugin does that reads late.
    fn sum(bytes: *const c_char) -> c_int {
        // SAFETY: the array has as many bytes, if it is still there: Miri tells.
        (0..16).map(|i| unsafe { c_int::from(*bytes.add(i)) }).sum()
    }

    #[test]
    fn an_array_stays_until_the_event() {
        let api = fake::api(&[(9, on_ready as *const c_void), (5, destroy as *const c_void)]);
        let array = array();
        let (bytes, wanted) = (array.bytes().as_ptr().cast(), sum(array.bytes().as_ptr().cast()));
        // SAFETY: the functions above look at no event.
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
