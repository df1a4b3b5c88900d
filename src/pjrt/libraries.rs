//! The shared libraries that NVIDIA's plugin opens when a program needs them: where they are, and which are missing.
//!
//! The plugin finds those beside it by itself. cuDNN and NVRTC find neither each other nor cuBLAS in this layout: the linker's search path of a
//! library does not apply to the libraries that it opens. So all of them are opened here first, as JAX does; the linker then returns the opened
//! one to whoever asks for that name. That also allows them to be in another folder than the plugin.

use std::path::{Path, PathBuf};

use super::abi::platform::Platform;
use super::find::site_packages;
use super::packages::{self, Package};
use crate::error::{Error, ErrorKind, Result};

/// The libraries of one package of NVIDIA's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libraries {
    /// The name of the package on the package index.
    pub package: &'static str,
    /// What cannot run without them; `None`: nothing can.
    pub only_for: Option<&'static str>,
    /// Where they are.
    pub place: Place,
}

/// Where libraries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the folder of packages that contains the plugin.
    Beside(PathBuf),
    /// In this folder of Python packages.
    Python(PathBuf),
    /// Where the linker finds them, as in `LD_LIBRARY_PATH`.
    System,
    /// These files are nowhere.
    Missing(Vec<&'static str>),
}

/// Packages that only some programs need, and which.
const ONLY_FOR: [(&str, &str); 4] = [
    ("nvidia-cuda-nvrtc", "convolutions"),
    ("nvidia-nvjitlink", "programs that are linked from several parts"),
    ("nvidia-nccl-cu13", "programs on several cards"),
    ("nvidia-cuda-cupti", "profiles"),
];

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";
/// NVRTC opens its built-in functions by a name that contains the minor version.
const BUILTINS: (&str, &str) = ("libnvrtc-builtins.so.13.", "libnvrtc.so.13");
/// The parts of cuDNN, which cuDNN opens from its own folder.
const PARTS_OF_CUDNN: &str = "libcudnn_";

/// The libraries that a plugin for CUDA 13 needs, package by package. Empty for other plugins.
///
/// Looks beside the plugin, in Python's package folders (runs `python3` if they are not in the usual ones), then where the linker looks.
pub fn libraries(plugin: &Path) -> Vec<Libraries> {
    let Some(beside) = packages_with(plugin) else { return Vec::new() };
    let bundle = packages::of(Platform::Cuda);
    let all = bundle.map_or(&[][..], |bundle| bundle.libraries);
    all.iter().map(|package| located(package, &beside)).collect()
}

/// Whether NVIDIA's driver is installed. Without it, programs can be compiled but not run.
pub fn has_nvidia_driver() -> bool {
    linker_finds(DRIVER)
}

/// Opens the libraries of a plugin, if the driver is installed. Call it before the plugin is opened: the plugin looks for the runtime then, and
/// only once. Missing ones are no error, because programs can be compiled without them.
///
/// # Errors
/// Kind `Plugin` for one that cannot be opened.
pub fn open(plugin: &Path) -> Result<()> {
    if !has_nvidia_driver() {
        return Ok(());
    }
    libraries(plugin).iter().flat_map(files).try_for_each(|file| open_file(&file))
}

/// Checks that a plugin has the libraries that all programs need, if the driver is installed. Without it, the plugin reports that it finds no card.
///
/// # Errors
/// Kind `Plugin` with the names of those that are missing.
pub fn check(plugin: &Path) -> Result<()> {
    let sentence = if has_nvidia_driver() { missing(&libraries(plugin)) } else { None };
    sentence.map_or(Ok(()), |sentence| Err(Error::new(ErrorKind::Plugin, sentence)))
}

/// What to do about missing libraries that all programs need.
fn missing(all: &[Libraries]) -> Option<String> {
    let files = all.iter().filter(|one| one.only_for.is_none()).flat_map(|one| match &one.place {
        Place::Missing(files) => &files[..],
        _ => &[],
    });
    let names: Vec<&str> = files.map(|file| name(file)).collect();
    let install = "run `spiq plugin install cuda13`, which brings them";
    (!names.is_empty()).then(|| format!("the cuda plugin lacks libraries of NVIDIA's: {}; {install}", names.join(", ")))
}

/// The folder of packages that contains a plugin for CUDA 13.
fn packages_with(plugin: &Path) -> Option<PathBuf> {
    let file = packages::of(Platform::Cuda)?.file();
    let folder = plugin.ancestors().nth(Path::new(file).components().count())?;
    (folder.join(file) == plugin).then(|| folder.to_owned())
}

fn located(package: &'static Package, beside: &Path) -> Libraries {
    let only_for = ONLY_FOR.iter().find(|(name, _)| *name == package.name).map(|(_, what)| *what);
    Libraries { package: package.name, only_for, place: place(package, beside) }
}

/// All files of a package come from one place, because they fit together.
fn place(package: &'static Package, beside: &Path) -> Place {
    let absent =
        |folder: &Path| package.kept().map(|(file, _)| file).filter(|file| file_in(folder, file).is_none()).collect();
    let here: Vec<&str> = absent(beside);
    if here.is_empty() {
        return Place::Beside(beside.to_owned());
    }
    if let Some(folder) = site_packages().find(|folder| absent(folder).is_empty()) {
        return Place::Python(folder);
    }
    match package.kept().all(|(file, _)| linker_finds(name(file))) {
        true => Place::System,
        false => Place::Missing(here),
    }
}

/// A library in a folder of packages.
fn file_in(folder: &Path, file: &str) -> Option<PathBuf> {
    let path = folder.join(file);
    if path.is_file() || !name(file).starts_with(BUILTINS.0) {
        return path.is_file().then_some(path);
    }
    let entries = std::fs::read_dir(path.parent()?).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(BUILTINS.0)))
}

/// The files to open before the plugin runs.
fn files(libraries: &Libraries) -> Vec<PathBuf> {
    let (Place::Beside(folder) | Place::Python(folder)) = &libraries.place else { return Vec::new() };
    let package = packages::of(Platform::Cuda).into_iter().flat_map(|bundle| bundle.libraries);
    let kept = package.filter(|package| package.name == libraries.package).flat_map(Package::kept);
    let first = kept.map(|(file, _)| file).filter(|file| !name(file).starts_with(PARTS_OF_CUDNN));
    first.filter_map(|file| file_in(folder, file)).collect()
}

fn name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

fn open_file(file: &Path) -> Result<()> {
    // SAFETY: opening a library runs its initializers; it is pinned, or the user installed it for programs to use.
    let library = unsafe { libloading::Library::new(file) };
    let library = library.map_err(|e| {
        Error::new(ErrorKind::Plugin, format!("the library {} cannot be opened", file.display())).because(e)
    })?;
    // Never closed: the plugin uses it.
    std::mem::forget(library);
    Ok(())
}

/// Whether the linker finds a library by its name.
fn linker_finds(name: &str) -> bool {
    // NVRTC finds its built-in functions in the system's folders, whatever their version.
    let name = if name.starts_with(BUILTINS.0) { BUILTINS.1 } else { name };
    // SAFETY: as in `open_file`; the plugin opens the same library by the same name.
    let library = unsafe { libloading::Library::new(name) };
    library.map(std::mem::forget).is_ok()
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn cuda() -> &'static [Package] {
        packages::of(Platform::Cuda).expect("the packages of this machine").libraries
    }

    /// A folder of packages with an empty file for each library and the plugin, and the plugin's path.
    fn all_of(folder: &Path) -> PathBuf {
        let plugin = folder.join(packages::of(Platform::Cuda).expect("packages").file());
        let libraries = cuda().iter().flat_map(Package::kept).map(|(file, _)| folder.join(file));
        for file in libraries.chain([plugin.clone()]) {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
            std::fs::write(file, "").expect("a file");
        }
        plugin
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let plugin = all_of(folder.path());
        let all = libraries(&plugin);
        assert!(all.iter().all(|one| one.place == Place::Beside(folder.path().to_owned())), "{all:?}");
        assert_eq!(all.len(), cuda().len());
        assert_eq!(missing(&all), None);
        for file in ["nvidia/cudnn/lib/libcudnn_ops.so.9", "nvidia/nccl/lib/libnccl.so.2"] {
            std::fs::remove_file(folder.path().join(file)).expect("a file");
        }
        let all = libraries(&plugin);
        let of = |name: &str| all.iter().find(|one| one.package == name).expect("a package").clone();
        if matches!(of("nvidia-cudnn-cu13").place, Place::Missing(_)) {
            let said = missing(&all).expect("cuDNN is incomplete");
            assert!(said.contains("NVIDIA's: libcudnn_ops.so.9; run `spiq plugin install cuda13`"), "{said}");
        }
        assert_eq!(of("nvidia-nccl-cu13").only_for, Some("programs on several cards"));
    }

    /// The parts of cuDNN are opened by cuDNN; of NVRTC's built-in functions any minor version is.
    #[test]
    fn what_is_opened_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let plugin = all_of(folder.path());
        let lib = folder.path().join("nvidia/cu13/lib");
        std::fs::rename(lib.join("libnvrtc-builtins.so.13.0"), lib.join("libnvrtc-builtins.so.13.2")).expect("a file");
        let opened: Vec<PathBuf> = libraries(&plugin).iter().flat_map(files).collect();
        let names: Vec<_> = opened.iter().map(|path| path.file_name().expect("a name").to_string_lossy()).collect();
        for name in ["libcudart.so.13", "libcudnn.so.9", "libnvrtc-builtins.so.13.2", "libnccl.so.2"] {
            assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
        }
        assert!(!names.iter().any(|name| name.starts_with(PARTS_OF_CUDNN)), "{names:?}");
    }

    #[test]
    fn only_packages_that_exist_are_optional() {
        for (name, _) in ONLY_FOR {
            assert!(cuda().iter().any(|package| package.name == name), "{name}");
        }
        assert!(libraries(Path::new("/x/xla_cuda_plugin.so")).is_empty());
        assert!(libraries(Path::new("/x/jax_plugins/xla_cuda12/xla_cuda_plugin.so")).is_empty());
    }
}
