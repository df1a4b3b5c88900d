//! Finds the plugins on this machine, and the one that a platform uses, without opening any.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::abi::platform::Platform;
use super::build::Build;
use super::folders::{cache_dir, variable};
use super::{packages, python};

/// Where a plugin was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The environment variable with this name.
    Environment(&'static str),
    /// Installed by this library.
    Cache,
    /// A Python package installed on this machine.
    Python,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Environment(name) => f.write_str(name),
            Source::Cache => f.write_str("installed by spiq"),
            Source::Python => f.write_str("Python package"),
        }
    }
}

/// A plugin file that was found but not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its platform; `None` where the file name does not identify it.
    pub platform: Option<Platform>,
    /// Where it was found.
    pub source: Source,
    /// The file. One named by a variable may not exist; opening it reports that.
    pub path: PathBuf,
}

impl Found {
    /// The build of a CPU plugin that this library installed.
    pub fn build(&self) -> Option<Build> {
        let installed = packages::installed_as(&self.path).filter(|_| self.source == Source::Cache)?;
        (installed.bundle.platform == Platform::Cpu).then_some(installed.bundle.build)
    }
}

/// All plugins on this machine, in the order in which [`find`] prefers them.
///
/// Runs `python3` to get its package folders, which takes about 50 ms.
pub fn list() -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let all = quick().chain(std::iter::once_with(asked_site_packages).flatten().flat_map(in_site_packages));
    for one in all {
        if !found.iter().any(|other| other.path == one.path) {
            found.push(one);
        }
    }
    found
}

/// The plugin for `platform`: from `SPIQ_PJRT_PLUGIN`, `PJRT_NAMES_AND_LIBRARY_PATHS` or `TPU_LIBRARY_PATH`, then the one
/// installed by this library (of several [builds](Build) the one installed last), then Python packages. `python3` runs only when nothing else is found.
pub fn find(platform: Platform) -> Option<Found> {
    let fits = |found: &Found| match (found.platform, found.source) {
        (Some(own), _) => own == platform,
        // The user's file name does not identify a platform: assume that it is the requested one.
        (None, source) => source == Source::Environment("SPIQ_PJRT_PLUGIN"),
    };
    quick().find(fits).or_else(|| asked_site_packages().into_iter().flat_map(in_site_packages).find(fits))
}

/// Plugins that can be found without starting a process.
fn quick() -> impl Iterator<Item = Found> {
    let later = |places: fn() -> Vec<Found>| std::iter::once_with(places).flatten();
    later(in_environment).chain(later(in_cache)).chain(later(in_known_site_packages))
}

fn in_environment() -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(path) = variable("SPIQ_PJRT_PLUGIN") {
        found.push(named("SPIQ_PJRT_PLUGIN", PathBuf::from(path)));
    }
    if let Some(list) = variable("PJRT_NAMES_AND_LIBRARY_PATHS") {
        found.extend(parse_names(&list.to_string_lossy()));
    }
    if let Some(path) = variable("TPU_LIBRARY_PATH") {
        let platform = Some(Platform::Tpu);
        found.push(Found { platform, ..named("TPU_LIBRARY_PATH", PathBuf::from(path)) });
    }
    found
}

fn named(variable: &'static str, path: PathBuf) -> Found {
    Found { platform: guess_from(&path), source: Source::Environment(variable), path }
}

fn guess_from(path: &Path) -> Option<Platform> {
    path.file_name().and_then(|name| Platform::guess(&name.to_string_lossy()))
}

/// Parses JAX's `name:path,name:path`.
fn parse_names(list: &str) -> impl Iterator<Item = Found> {
    list.split(',').filter_map(|entry| entry.split_once(':')).map(|(name, path)| {
        let found = named("PJRT_NAMES_AND_LIBRARY_PATHS", PathBuf::from(path.trim()));
        Found { platform: Platform::guess(name).or(found.platform), ..found }
    })
}

fn in_cache() -> Vec<Found> {
    let Ok(cache) = cache_dir() else { return Vec::new() };
    let builds = |platform| Build::in_order(&cache).filter_map(move |build| packages::of_build(platform, build));
    let installed = Platform::ALL.into_iter().flat_map(builds).filter_map(|bundle| {
        let path = bundle.installed(&cache)?;
        Some(Found { platform: Some(bundle.platform), source: Source::Cache, path })
    });
    installed.collect()
}

/// The plugins in one folder of Python packages.
fn in_site_packages(folder: PathBuf) -> impl Iterator<Item = Found> {
    const FILES: [(Platform, &str); 4] = [
        (Platform::Cpu, "xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so"),
        (Platform::Cuda, "jax_plugins/xla_cuda13/xla_cuda_plugin.so"),
        (Platform::Cuda, "jax_plugins/xla_cuda12/xla_cuda_plugin.so"),
        (Platform::Tpu, "libtpu/libtpu.so"),
    ];
    let found = FILES.into_iter().map(move |(platform, file)| (platform, folder.join(file)));
    let existing = found.filter(|(_, path)| path.is_file());
    existing.map(|(platform, path)| Found { platform: Some(platform), source: Source::Python, path })
}

fn in_known_site_packages() -> Vec<Found> {
    known_site_packages().flat_map(in_site_packages).collect()
}

/// The folders of Python packages on this machine; `python3` runs only when the iterator gets that far.
pub fn site_packages() -> impl Iterator<Item = PathBuf> {
    std::iter::once_with(known_site_packages).flatten().chain(std::iter::once_with(asked_site_packages).flatten())
}

/// Those that can be found without starting a process.
fn known_site_packages() -> impl Iterator<Item = PathBuf> {
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable).map(PathBuf::from);
    let home = variable("HOME").map(|home| PathBuf::from(home).join(".local"));
    let prefixes = environments.chain(home).chain(["/usr/local", "/usr"].map(PathBuf::from));
    prefixes.flat_map(|prefix| site_packages_under(&prefix))
}

/// `lib/python3*/{site,dist}-packages` under a prefix.
fn site_packages_under(prefix: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(prefix.join("lib")) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.path());
    let pythons =
        names.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")));
    pythons.flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name))).collect()
}

/// The package folders on the search path of the user's `python3`.
fn asked_site_packages() -> Vec<PathBuf> {
    // Cached per process: starting Python is slow.
    static ANSWER: LazyLock<String> = LazyLock::new(|| python::printed_by("import sys; print('\\n'.join(sys.path))"));
    ANSWER.lines().filter(|line| line.ends_with("-packages")).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jax_names_and_paths() {
        let found: Vec<_> = parse_names("cuda:/a/x.so,mine:/b/libtpu.so,broken").collect();
        let short: Vec<_> = found.iter().map(|f| (f.platform, f.path.to_str().expect("text"))).collect();
        assert_eq!(short, [(Some(Platform::Cuda), "/a/x.so"), (Some(Platform::Tpu), "/b/libtpu.so")]);
    }

    #[test]
    fn packages_of_an_environment() {
        let prefix = tempfile::tempdir().expect("a temporary folder");
        let folder = prefix.path().join("lib/python3.12/site-packages/libtpu");
        std::fs::create_dir_all(&folder).expect("folders");
        std::fs::write(folder.join("libtpu.so"), "x").expect("a file");
        let found: Vec<_> = site_packages_under(prefix.path()).into_iter().flat_map(in_site_packages).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].platform, Some(Platform::Tpu));
    }
}
