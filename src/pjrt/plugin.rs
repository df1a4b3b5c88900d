//! An opened plugin: a shared library that speaks PJRT. Knows nothing of clients.

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
use super::find::{Found, find};
use super::install::{Progress, install};
use super::profiler::Profiler;
use super::{elf, environment, packages, verify};
use crate::error::{Error, ErrorKind, Result};

/// An opened plugin, cheap to copy. It stays open until the process ends: plugins keep threads and cannot be unloaded.
#[derive(Clone, Copy)]
pub struct Plugin(&'static Opened);

struct Opened {
    api: Api,
    path: PathBuf,
    identity: String,
    cuda_dir: Option<String>,
    /// The names of the handlers that it knows.
    registered: Mutex<BTreeSet<&'static str>>,
}

static OPENED: LazyLock<Mutex<BTreeMap<PathBuf, Plugin>>> = LazyLock::new(Mutex::default);

impl Plugin {
    /// Opens a plugin file; opening the same file again is free.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] in one sentence: missing, not a shared library, cut short, for another machine, without PJRT,
    /// with a PJRT that is too old; installed by this library, and not the file that its pinned checksum tells. [`ErrorKind::Input`]
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
        if let (Some((platform, bundle)), Some(folder)) = (pinned, path.parent()) {
            verify::check(platform, bundle, folder)?;
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
    /// [`ErrorKind::Plugin`] when there is none (the sentence says how to get one), or as [`Plugin::open`].
    pub fn of(platform: Platform) -> Result<Plugin> {
        let found = find(platform).ok_or_else(|| not_found(platform))?;
        found.open()
    }

    /// As [`Plugin::of`], and installs the plugin first where there is none.
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

    /// What it is for, as its file name tells.
    pub fn platform(self) -> Option<Platform> {
        is_for(&self.0.path)
    }

    /// Major and minor version of PJRT that it speaks, for example (0, 81).
    pub fn version(self) -> (i32, i32) {
        self.0.api.version()
    }

    /// What the plugin says about itself, for example `stablehlo_current_version`. Empty where it says nothing.
    pub fn attributes(self) -> Vec<(String, Value)> {
        // SAFETY: the plugin fills in a list that lives as long as it does.
        unsafe {
            let got = self.0.api.call::<sys::PluginAttributes>(|_| {});
            got.map(|a| api::read_named(a.attributes, a.num_attributes)).unwrap_or_default()
        }
    }

    /// What records where programs' time goes.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] when the plugin has no profiler.
    pub fn profiler(self) -> Result<Profiler> {
        Profiler::of(self.0.api, self.path(), self.platform())
    }

    /// Where NVIDIA's assembler and device library lie beside the plugin, if they do.
    pub(super) fn cuda_dir(self) -> Option<&'static str> {
        self.0.cuda_dir.as_deref()
    }

    /// Makes handlers known to the plugin, each once.
    ///
    /// # Errors
    /// When it takes none.
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

    /// Tells this file from others and from its other versions: a part of compile-cache keys.
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
    /// Looks at the file before the dynamic linker does, and runs nothing of it.
    ///
    /// # Errors
    /// [`ErrorKind::Plugin`] for a file that is missing, no shared library, cut short, or for another machine.
    pub fn check(&self) -> Result<()> {
        elf::check(&self.path).map_err(|e| self.found_through(&e))
    }

    /// Opens the plugin that was found.
    ///
    /// # Errors
    /// As [`Plugin::open`].
    pub fn open(&self) -> Result<Plugin> {
        Plugin::open(&self.path).map_err(|e| self.found_through(&e))
    }

    fn found_through(&self, error: &Error) -> Error {
        Error::new(error.kind(), format!("{error} (found through: {})", self.source))
    }
}

fn not_found(platform: Platform) -> Error {
    let how = match packages::of(platform) {
        Some(bundle) => format!("run `spiq plugin install {platform}` ({} MB)", bundle.megabytes()),
        None => "there is no package of it for this kind of machine".to_owned(),
    };
    Error::new(
        ErrorKind::Plugin,
        format!("no {platform} plugin is installed: {how}, or name a plugin file in SPIQ_PJRT_PLUGIN"),
    )
}

fn load(path: &Path) -> Result<Api> {
    let shown = path.display();
    let fail = |what: String| Error::new(ErrorKind::Plugin, what);
    environment::prepare(path)?;
    // SAFETY: opening a library runs its initializers; the user chose this file as a plugin.
    let library = unsafe { libloading::Library::new(path) };
    let library = library.map_err(|e| fail(format!("the PJRT plugin {shown} cannot be opened")).because(e))?;
    // Never unloaded: a plugin's threads run on.
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: the name is PJRT's own; whoever exports it promises this signature.
    let entry = unsafe { library.get::<sys::GetApi>(b"GetPjrtApi\0") };
    let entry =
        entry.map_err(|_| fail(format!("{shown} is a shared library but not a PJRT plugin (it has no GetPjrtApi)")))?;
    // SAFETY: the function takes nothing.
    let table = NonNull::new(unsafe { entry() }.cast_mut());
    let table = table.ok_or_else(|| fail(format!("the PJRT plugin {shown} gives no function table")))?;
    // SAFETY: the table is PJRT's, and lives as long as the library.
    let api = unsafe { Api::new(table) };
    let version = api.version();
    if version < sys::OLDEST {
        let ((major, minor), (least_major, least)) = (version, sys::OLDEST);
        return Err(fail(format!(
            "the PJRT plugin {shown} speaks PJRT {major}.{minor}, and {least_major}.{least} is the least; install a newer one"
        )));
    }
    // SAFETY: no pointers are passed.
    unsafe { api.call::<sys::PluginInitialize>(|_| {}) }?;
    Ok(api)
}

/// The folder with `nvvm/libdevice`: the plugin's own, as [`install`] makes it, or that of NVIDIA's Python packages.
fn cuda_dir(plugin: &Path) -> Option<String> {
    let own = plugin.parent()?;
    let packages = own.ancestors().nth(2).map(|site| site.join("nvidia/cu13"));
    let mut places = std::iter::once(own.to_owned()).chain(packages);
    places.find(|dir| dir.join("nvvm/libdevice").is_dir()).map(|dir| dir.to_string_lossy().into_owned())
}

/// The platform that a plugin's file name tells.
fn is_for(path: &Path) -> Option<Platform> {
    path.file_name().and_then(|name| Platform::guess(&name.to_string_lossy()))
}

/// Name, size and time of change.
fn identity(path: &Path) -> String {
    let meta = std::fs::metadata(path).ok();
    let changed = meta.as_ref().and_then(|m| m.modified().ok()).and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    format!("{} {} {}", path.display(), meta.map_or(0, |m| m.len()), changed.map_or(0, |d| d.as_nanos()))
}
