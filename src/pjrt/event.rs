//! A moment that has come or will: the end of a transfer or of a program. Knows nothing of what it waits for.

use super::abi::api::Api;
use super::abi::sys;
use crate::error::Result;

/// An event of a plugin. Dropping it does not wait.
pub struct Event {
    api: Api,
    raw: *mut sys::Event,
}

// SAFETY: pjrt_c_api.h binds a `PJRT_Event` to no thread: it fires on one of the plugin's, and any may wait for it or ask.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// Takes over an event.
    ///
    /// # Safety
    /// `raw` is an event of this plugin that nobody else releases.
    pub unsafe fn new(api: Api, raw: *mut sys::Event) -> Event {
        Event { api, raw }
    }

    /// Waits, and reports what went wrong before the event.
    pub fn wait(&self) -> Result<()> {
        // SAFETY: the event lives until it is dropped.
        unsafe {
            self.api.call::<sys::EventAwait>(|a| a.event = self.raw)?;
            self.api.call::<sys::EventError>(|a| a.event = self.raw)?;
        }
        Ok(())
    }

    /// Whether the moment has come.
    pub fn is_ready(&self) -> Result<bool> {
        // SAFETY: the event lives until it is dropped.
        Ok(unsafe { self.api.call::<sys::EventIsReady>(|a| a.event = self.raw) }?.is_ready)
    }

    /// Keeps a value alive until the event.
    pub fn keep<T: Send + 'static>(&self, value: T) -> Result<()> {
        let kept = Box::into_raw(Box::new(Kept { api: self.api, _value: value }));
        // SAFETY: `release` gets the box back exactly once, when the event fires.
        let asked = unsafe {
            self.api.call::<sys::EventOnReady>(|a| {
                a.event = self.raw;
                a.callback = Some(release::<T>);
                a.user = kept.cast();
            })
        };
        // On an error the callback may or may not have been taken: leaking the value is safe, freeing it twice is not.
        asked.map(drop)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is ours and not used again.
        unsafe { self.api.destroy::<sys::EventDestroy>(|a| a.event = self.raw) };
    }
}

struct Kept<T> {
    api: Api,
    _value: T,
}

/// # Safety
/// `user` is a `Box<Kept<T>>` that nobody else frees; `error` is null or ours.
unsafe extern "C" fn release<T>(error: *mut sys::Error, user: *mut std::ffi::c_void) {
    // SAFETY: `Event::keep` made it from such a box, and the event fires once.
    let kept = unsafe { Box::from_raw(user.cast::<Kept<T>>()) };
    // SAFETY: the callback owns the error. It reaches the caller through the buffer, so here it is only released.
    drop(unsafe { kept.api.take_error(error, "transfer") });
}
