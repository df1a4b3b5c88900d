//! Plugin events: the end of a transfer or of a program.

use super::abi::api::Api;
use super::abi::sys;
use crate::error::Result;

/// A plugin's event. Dropping it does not wait.
pub struct Event {
    api: Api,
    raw: *mut sys::Event,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_Event` to no thread: it fires on one of the plugin's threads, and any thread may wait for it or
// poll it.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// Takes ownership of an event.
    ///
    /// # Safety
    /// `raw` is an event of this plugin that nothing else releases.
    pub unsafe fn new(api: Api, raw: *mut sys::Event) -> Event {
        Event { api, raw }
    }

    /// Waits, and returns the error of the operation before the event.
    pub fn wait(&self) -> Result<()> {
        // SAFETY: the event is alive until it is dropped.
        unsafe {
            self.api.call::<sys::EventAwait>(|a| a.event = self.raw)?;
            self.api.call::<sys::EventError>(|a| a.event = self.raw)?;
        }
        Ok(())
    }

    /// Whether the event has fired.
    pub fn is_ready(&self) -> Result<bool> {
        // SAFETY: the event is alive until it is dropped.
        Ok(unsafe { self.api.call::<sys::EventIsReady>(|a| a.event = self.raw) }?.is_ready)
    }

    /// Keeps a value alive until the event.
    pub fn keep<T: Send + 'static>(&self, value: T) -> Result<()> {
        let kept = Box::into_raw(Box::new(Kept { api: self.api, _value: value }));
        // SAFETY: `release` takes the box back exactly once, when the event fires.
        let asked = unsafe {
            self.api.call::<sys::EventOnReady>(|a| {
                a.event = self.raw;
                a.callback = Some(release::<T>);
                a.user = kept.cast();
            })
        };
        // After an error the callback may or may not be registered: leaking the value is safe, freeing it twice is not.
        asked.map(drop)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: we own the event and do not use it again.
        unsafe { self.api.destroy::<sys::EventDestroy>(|a| a.event = self.raw) };
    }
}

struct Kept<T> {
    api: Api,
    _value: T,
}

/// # Safety
/// `user` is a `Box<Kept<T>>` that nothing else frees; `error` is null or ours.
unsafe extern "C" fn release<T>(error: *mut sys::Error, user: *mut std::ffi::c_void) {
    // SAFETY: `Event::keep` created it from such a box, and the event fires once.
    let kept = unsafe { Box::from_raw(user.cast::<Kept<T>>()) };
    // SAFETY: the callback owns the error. The buffer reports it to the caller, so here it is only released.
    drop(unsafe { kept.api.take_error(error, "transfer") });
}
