//! Opened plugins: shared libraries that implement PJRT.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use super::abi::api::{self, Api, Value};
use super::abi::platform::Platform;
use super::abi::sys;
use super::ffi::Registration;
use super::find::{Found, Source, find};
use super::install::{Progress, install};
use super::profiler::Profiler;
use super::{elf, environment, libraries, packages, verify};
use crate::error::{Error, ErrorKind, Result};

/// An opened plugin, cheap to copy. It stays open until the process ends: plugins keep threads and cannot be unloaded.
#[derive(Clone, Copy)]
pub struct Plugin(&'static Opened);

struct Opened {
    api: Api,
    path: PathBuf,
    identity: String,
    cuda_dir: Option<String>,
    /// The names of the registered handlers.
    registered: Mutex<BTreeSet<&'static str>>,
}

static OPENED: LazyLock<Mutex<BTreeMap<PathBuf, Plugin>>> = LazyLock::new(Mutex::default);

impl Plugin {
    /// Opens a plugin file; opening the same file again is free.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] in one sentence: missing, not a shared library, cut short, for another machine, without PJRT,
    /// with a PJRT version that is too old; installed by this library but with another checksum than the pinned one. [`ErrorKind::Input`]
    /// when it is installed where others may write.
    pub fn open(path: &Path) -> Result<Plugin> {
        elf::check(path)?;
        let given = path;
        let path = path.canonicalize().map_err(|e| Error::file(path, "read", e))?;
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = opened.get(&path) {
            return Ok(*plugin);
        }
        // The cache folder, or one in it, may be a link.
        let pinned = packages::installed_as(given).or_else(|| packages::installed_as(&path));
        if let Some(installed) = pinned {
            verify::check(installed.bundle, &installed.folder)?;
        }
        let api = load(&path)?;
        let (identity, cuda_dir) = (identity(&path), cuda_dir(&path));
        let registered = Mutex::default();
        let plugin = Plugin(Box::leak(Box::new(Opened { api, identity, cuda_dir, registered, path: path.clone() })));
        opened.insert(path, plugin);
        Ok(plugin)
    }

    /// Opens the plugin that [`find`] finds for `platform`.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] when there is none (the message says how to get one), or as [`Plugin::open`].
    pub fn of(platform: Platform) -> Result<Plugin> {
        let found = find(platform).ok_or_else(|| not_found(platform))?;
        found.open()
    }

    /// As [`Plugin::of`], but installs a missing plugin first.
    ///
    /// # Errors
    /// As [`Plugin::of`] and [`install`].
    pub fn of_or_install(platform: Platform, progress: &mut dyn FnMut(Progress)) -> Result<Plugin> {
        match find(platform) {
            Some(found) => found.open(),
            None => Plugin::open(&install(platform, progress)?),
        }
    }

    /// The file.
    pub fn path(self) -> &'static Path {
        &self.0.path
    }

    /// Its platform, if its file name identifies it.
    pub fn platform(self) -> Option<Platform> {
        is_for(&self.0.path)
    }

    /// The major and minor version of its PJRT API, for example (0, 81).
    pub fn version(self) -> (i32, i32) {
        self.0.api.version()
    }

    /// The attributes that the plugin reports, for example `stablehlo_current_version`. Empty if it reports none.
    pub fn attributes(self) -> Vec<(String, Value)> {
        // SAFETY: the plugin fills in a list that lives as long as it does.
        unsafe {
            let got = self.0.api.call::<sys::PluginAttributes>(|_| {});
            got.map(|a| api::read_named(a.attributes, a.num_attributes)).unwrap_or_default()
        }
    }

    /// The profiler of the plugin's programs.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] when the plugin has no profiler.
    pub fn profiler(self) -> Result<Profiler> {
        Profiler::of(self.0.api, self.path(), self.platform())
    }

    /// The folder of NVIDIA's assembler and device library next to the plugin, if they are there.
    pub(super) fn cuda_dir(self) -> Option<&'static str> {
        self.0.cuda_dir.as_deref()
    }

    /// Registers handlers with the plugin, each once.
    ///
    /// # Errors
    /// A plugin that does not support handlers, or whose XLA has other layouts of calls.
    pub(super) fn register(self, handlers: &[Registration]) -> Result<()> {
        let mut registered = self.0.registered.lock().unwrap_or_else(PoisonError::into_inner);
        for handler in handlers {
            if !registered.contains(handler.target()) {
                handler.register(self.0.api)?;
                registered.insert(handler.target());
            }
        }
        Ok(())
    }

    /// The function table.
    pub(super) fn api(self) -> Api {
        self.0.api
    }

    /// Identifies this file and its version; part of the compile-cache keys.
    pub(super) fn identity(self) -> &'static str {
        &self.0.identity
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version();
        write!(f, "Plugin({}, PJRT {major}.{minor})", self.path().display())
    }
}

impl Found {
    /// Validates the file without loading it.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] for a file that is missing, not a shared library, cut short, or for another machine.
    pub fn check(&self) -> Result<()> {
        elf::check(&self.path).map_err(|e| self.found_through(&e))
    }

    /// Opens the plugin.
    ///
    /// # Errors
    /// As [`Plugin::open`].
    pub fn open(&self) -> Result<Plugin> {
        Plugin::open(&self.path).map_err(|e| self.found_through(&e))
    }

    fn found_through(&self, error: &Error) -> Error {
        let instead = match &self.source {
            Source::Environment(variable) => format!("; set {variable} to a plugin's library, or unset it"),
            _ => String::new(),
        };
        Error::new(error.kind(), format!("{error} (found through: {}){instead}", self.source))
    }
}

fn not_found(platform: Platform) -> Error {
    let how = match packages::of(platform) {
        Some(bundle) => format!("run `{}` ({} MB)", bundle.command(), bundle.megabytes()),
        None => "there is no package for this kind of machine".to_owned(),
    };
    Error::new(
        ErrorKind::Plugin,
        format!("no {platform} plugin is installed: {how}, or set SPIQ_PJRT_PLUGIN to a plugin file"),
    )
}

fn load(path: &Path) -> Result<Api> {
    let shown = path.display();
    let fail = |what: String| Error::new(ErrorKind::Plugin, what);
    environment::prepare(path)?;
    libraries::open(path)?;
    // SAFETY: opening a library runs its initializers; the user chose this file as a plugin.
    let library = unsafe { libloading::Library::new(path) };
    let library = library.map_err(|e| fail(format!("the PJRT plugin {shown} cannot be opened")).because(e))?;
    // Never unloaded: the plugin's threads keep running.
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: the name is PJRT's; a library that exports it promises this signature.
    let entry = unsafe { library.get::<sys::GetApi>(b"GetPjrtApi\0") };
    let entry =
        entry.map_err(|_| fail(format!("{shown} is a shared library but not a PJRT plugin (it has no GetPjrtApi)")))?;
    // SAFETY: the function has no parameters.
    let table = NonNull::new(unsafe { entry() }.cast_mut());
    let table = table.ok_or_else(|| fail(format!("the PJRT plugin {shown} returns no function table")))?;
    // SAFETY: the table is PJRT's, and lives as long as the library.
    let api = unsafe { Api::new(table) };
    let version = api.version();
    if version < sys::OLDEST {
        let ((major, minor), (least_major, least)) = (version, sys::OLDEST);
        return Err(fail(format!(
            "the PJRT plugin {shown} implements PJRT {major}.{minor}, but at least {least_major}.{least} is required; install a newer one"
        )));
    }
    // SAFETY: no pointers are passed.
    unsafe { api.call::<sys::PluginInitialize>(|_| {}) }?;
    Ok(api)
}

/// The folder that contains `nvvm/libdevice`: next to the plugin, or from NVIDIA's packages beside it, whether Python's or [`install`]'s.
fn cuda_dir(plugin: &Path) -> Option<String> {
    let own = plugin.parent()?;
    let packages = own.ancestors().nth(2).map(|site| site.join("nvidia/cu13"));
    let mut places = std::iter::once(own.to_owned()).chain(packages);
    places.find(|dir| dir.join("nvvm/libdevice").is_dir()).map(|dir| dir.to_string_lossy().into_owned())
}

/// The platform that a plugin's file name identifies.
fn is_for(path: &Path) -> Option<Platform> {
    path.file_name().and_then(|name| Platform::guess(&name.to_string_lossy()))
}

/// Path, size and modification time.
fn identity(path: &Path) -> String {
    let meta = std::fs::metadata(path).ok();
    let changed = meta.as_ref().and_then(|m| m.modified().ok()).and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    format!("{} {} {}", path.display(), meta.map_or(0, |m| m.len()), changed.map_or(0, |d| d.as_nanos()))
}
