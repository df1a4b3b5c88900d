//! Profiles of a plugin's devices.

mod layout;
mod profile;
mod space;

use std::mem::{offset_of, size_of};
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, TryLockError};

pub use profile::{Operation, Profile};

use super::abi::api::{self, Api};
use super::abi::platform::Platform;
use super::abi::proto::Writer;
use crate::error::{Error, ErrorKind, Result};

/// Records how a plugin's programs spend their time.
///
/// ```no_run
/// use spiq::pjrt::{Client, Platform};
/// let client = Client::open(Platform::Cuda)?;
/// let profile = client.plugin().profiler()?.record(|| Ok(()))?;
/// for operation in profile.operations {
///     println!("{} ran {} times in {:?}", operation.name, operation.launches, operation.time);
/// }
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Profiler {
    api: &'static layout::Api,
    platform: Option<Platform>,
}

// SAFETY: the table is read-only, and recordings, which call its functions, run one at a time.
unsafe impl Send for Profiler {}
// SAFETY: as above.
unsafe impl Sync for Profiler {}

/// Held during a recording: plugins allow one at a time.
static RECORDING: Mutex<()> = Mutex::new(());

impl Profiler {
    /// The profiler of the plugin `path`.
    pub(super) fn of(plugin: Api, path: &Path, platform: Option<Platform>) -> Result<Profiler> {
        let missing = || {
            let name = path.display();
            let message = format!(
                "the PJRT plugin {name} has no profiler; use one with PJRT's profiler extension, such as the CUDA plugin"
            );
            Error::new(ErrorKind::Plugin, message)
        };
        let extension = plugin.extension(layout::EXTENSION).ok_or_else(missing)?;
        // SAFETY: the extension's kind determines this struct; neither plugins nor the table are unloaded, and the table's size shows
        // whether it covers the struct.
        let api = unsafe {
            let api = (*extension.cast::<layout::ProfilerExtension>()).api;
            let reaches = !api.is_null() && (*api).struct_size >= size_of::<layout::Api>();
            reaches.then(|| &*api).ok_or_else(missing)?
        };
        Ok(Profiler { api, platform })
    }

    /// Records the programs that run during `work`, which must wait for them itself.
    ///
    /// NVIDIA's recorder sees every kernel of a CUDA graph, but only the first iteration of a loop that the graph repeats on the card;
    /// loops of a known length are unrolled in the graphs of this library's programs.
    ///
    /// # Errors
    /// Those of `work`; [`ErrorKind::Input`] during another recording; errors from the plugin; [`ErrorKind::Plugin`] when nothing was
    /// recorded.
    pub fn record(self, work: impl FnOnce() -> Result<()>) -> Result<Profile> {
        let _turn = match RECORDING.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::input("another profile is being recorded; wait until it ends"));
            }
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        let mut recording = Recording::new(self)?;
        recording.start()?;
        work()?;
        recording.stop()?;
        let profile = space::read(&recording.collect()?);
        match profile.operations.is_empty() {
            true => Err(self.nothing(&profile.warnings)),
            false => Ok(profile),
        }
    }

    fn nothing(self, warnings: &[String]) -> Error {
        let needs = match self.platform {
            Some(Platform::Cuda) => "; it needs NVIDIA's CUPTI (libcupti.so.13, in the package nvidia-cuda-cupti)",
            _ => "",
        };
        let said: String = warnings.iter().map(|warning| format!("; it reports: {warning}")).collect();
        Error::new(ErrorKind::Plugin, format!("the plugin's profiler recorded no operations{needs}{said}"))
    }

    /// The recording settings, as XLA's `ProfileOptions`.
    fn options(self) -> Vec<u8> {
        const VERSION: u64 = 5;
        const HOST_TRACER_LEVEL: u64 = 2;
        const DEVICE_TRACER_LEVEL: u64 = 3;
        const RAISE_ERROR_ON_START_FAILURE: u64 = 13;
        // Level 2 and above records CPU operations; on a GPU or TPU they would only take space.
        let host = match self.platform {
            Some(Platform::Cuda | Platform::Tpu) => 0,
            _ => 2,
        };
        let mut options = Writer::default();
        options.number(VERSION, 1).number(HOST_TRACER_LEVEL, host).number(DEVICE_TRACER_LEVEL, 1);
        options.number(RAISE_ERROR_ON_START_FAILURE, 1).finish()
    }

    /// Calls a function in the table.
    ///
    /// # Safety
    /// `args` matches the function.
    unsafe fn call<T>(self, function: layout::Function<T>, name: &str, args: &mut T) -> Result<()> {
        let missing = || Error::new(ErrorKind::Plugin, format!("the plugin's profiler lacks the function {name}"));
        let function = function.ok_or_else(missing)?;
        // SAFETY: guaranteed by the caller.
        let error = unsafe { function(ptr::from_mut(args)) };
        // SAFETY: functions in the table return null or an error that we own.
        unsafe { self.take_error(error, name) }
    }

    /// As [`api::Api::take_error`], for a profiler's errors, which have a separate type.
    ///
    /// # Safety
    /// `error` is null or an error of this table that nothing else releases.
    unsafe fn take_error(self, error: *mut layout::Error, during: &str) -> Result<()> {
        if error.is_null() {
            return Ok(());
        }
        let private = ptr::null_mut();
        // The size up to the last field; the struct itself is padded.
        let code_size = offset_of!(layout::ErrorGetCode, code) + size_of::<std::ffi::c_int>();
        let mut code = layout::ErrorGetCode { struct_size: code_size, private, error, code: 2 };
        let struct_size = size_of::<layout::ErrorMessage>();
        let mut message = layout::ErrorMessage { struct_size, private, error, message: ptr::null(), message_size: 0 };
        let mut destroy = layout::ErrorDestroy { struct_size: size_of::<layout::ErrorDestroy>(), private, error };
        // SAFETY: the error lives until it is destroyed, and its text as long; the structs match the functions.
        let failed = unsafe {
            if let Some(get_code) = self.api.error_get_code {
                get_code(&raw mut code);
            }
            if let Some(get_message) = self.api.error_message {
                get_message(&raw mut message);
            }
            let failed = api::failed(code.code, during, &api::text(message.message, message.message_size));
            if let Some(release) = self.api.error_destroy {
                release(&raw mut destroy);
            }
            failed
        };
        Err(failed)
    }
}

impl std::fmt::Debug for Profiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Profiler({:?})", self.platform)
    }
}

/// A recording of a plugin; stopped and released when dropped.
struct Recording {
    profiler: Profiler,
    raw: *mut layout::Recording,
    running: bool,
}

impl Recording {
    fn new(profiler: Profiler) -> Result<Recording> {
        let options = profiler.options();
        let mut args = layout::Create {
            struct_size: size_of::<layout::Create>(),
            options: options.as_ptr().cast(),
            options_size: options.len(),
            recording: ptr::null_mut(),
        };
        // SAFETY: the options outlive the call; we own the recording.
        unsafe { profiler.call(profiler.api.create, "Profiler_Create", &mut args)? };
        Ok(Recording { profiler, raw: args.recording, running: false })
    }

    fn start(&mut self) -> Result<()> {
        self.call(self.profiler.api.start, "Profiler_Start")?;
        self.running = true;
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.running = false;
        self.call(self.profiler.api.stop, "Profiler_Stop")
    }

    fn call(&self, function: layout::Function<layout::OfRecording>, name: &str) -> Result<()> {
        let mut args = layout::OfRecording { struct_size: size_of::<layout::OfRecording>(), recording: self.raw };
        // SAFETY: the recording is alive.
        unsafe { self.profiler.call(function, name, &mut args) }
    }

    /// The bytes of an `XSpace`.
    fn collect(&self) -> Result<Vec<u8>> {
        let collect_data = self.profiler.api.collect_data;
        let mut args = layout::CollectData {
            struct_size: size_of::<layout::CollectData>(),
            recording: self.raw,
            buffer: ptr::null_mut(),
            buffer_size: 0,
        };
        // SAFETY: the recording is alive; a null buffer requests the size.
        unsafe { self.profiler.call(collect_data, "Profiler_CollectData", &mut args)? };
        if !args.buffer.is_null() {
            // XLA's implementation returns its own buffer with the size, and does not write into another one.
            // SAFETY: the buffer belongs to the recording, which is alive.
            return Ok(unsafe { api::slice(args.buffer, args.buffer_size) }.to_vec());
        }
        let mut bytes = vec![0; args.buffer_size];
        if !bytes.is_empty() {
            args.buffer = bytes.as_mut_ptr();
            // SAFETY: the recording is alive, and the buffer has the requested size.
            unsafe { self.profiler.call(collect_data, "Profiler_CollectData", &mut args)? };
        }
        Ok(bytes)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Nothing can be done about an error while releasing.
        if self.running {
            drop(self.stop());
        }
        drop(self.call(self.profiler.api.destroy, "Profiler_Destroy"));
    }
}
