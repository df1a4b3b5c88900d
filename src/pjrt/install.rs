//! Installs plugins: takes the pinned packages, downloaded by the user's pip or given as files, checks them, and unpacks them into the
//! cache folder.
//!
//! Packages are installed one by one, each file by a rename, and the plugin itself last: the plugin is found only when everything that it needs is
//! there, and an interrupted installation continues with the first missing package.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::abi::platform::Platform;
use super::build::Build;
use super::folders::{cache_dir, create_private};
use super::packages::{self, Bundle, Package, Parts, Wheel};
use super::{owner, pip, verify, wheel};
use crate::error::{Error, ErrorKind, Result};

/// The progress of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current package.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The current step.
    pub step: Step,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The steps of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Waiting for another process that is installing a plugin. No bytes are counted.
    Wait,
    /// pip downloads it.
    Download,
    /// It is copied from a local file.
    Copy,
    /// The required files are unpacked.
    Unpack,
}

impl Step {
    /// A word for progress messages, before the name of a package.
    pub fn doing(self) -> &'static str {
        match self {
            Step::Wait => "waiting for",
            Step::Download => "downloading",
            Step::Copy => "copying",
            Step::Unpack => "unpacking",
        }
    }
}

/// The source of a plugin's wheels. From any source, they must have the pinned checksums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wheels {
    /// The package index configured for the user's pip, in its configuration or by `PIP_INDEX_URL`.
    #[default]
    Index,
    /// The URL of another package index.
    Mirror(String),
    /// Local files, in any order. Neither the network nor Python is used.
    Files(Vec<PathBuf>),
}

/// Installs the default build of the plugin of `platform` into the cache folder, unless it is already there, and returns the path of its file.
///
/// Versions and checksums are pinned. `progress` is called about ten times a second. Of two processes that do this at once, one
/// waits for the other. After an interruption, the next installation continues with the first package that is missing.
///
/// # Errors
/// [`ErrorKind::Plugin`] when there is no package for this machine, no `python3`, no pip, no network, or a checksum differs;
/// [`ErrorKind::Input`] when others may write to the cache folder.
pub fn install(platform: Platform, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    install_from(platform, Build::default(), Parts::All, &Wheels::Index, progress)
}

/// As [`install`], for a build, for some parts of it and from another source of wheels. Files that differ from the pinned ones are replaced.
/// From then on, [`find`](super::find()) prefers this build.
///
/// # Errors
/// As [`install`]; a file that is not one of the wheels; a missing wheel.
pub fn install_from(
    platform: Platform,
    build: Build,
    parts: Parts,
    wheels: &Wheels,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let (bundle, cache) = (bundle(platform, build)?, cache_dir()?);
    let plugin = Installation { bundle, parts, cache: &cache }.run(wheels, progress)?;
    if platform == Platform::Cpu {
        build.choose(&cache)?;
    }
    Ok(plugin)
}

/// What an installation has yet to bring, judging by the sizes of the files that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Packages to download.
    pub packages: usize,
    /// Packages in all.
    pub of: usize,
    /// Bytes to download.
    pub download: u64,
    /// Bytes that their files take on the disk.
    pub disk: u64,
}

/// What [`install_from`] would bring.
///
/// # Errors
/// [`ErrorKind::Plugin`] when there is no package for this kind of machine.
pub fn missing(platform: Platform, build: Build, parts: Parts) -> Result<Missing> {
    let bundle = bundle(platform, build)?;
    let folder = bundle.folder(&cache_dir()?);
    let mut missing = Missing { packages: 0, of: bundle.packages(parts).count(), download: 0, disk: 0 };
    for package in bundle.packages(parts).filter(|package| !package.complete(&folder)) {
        missing.packages += 1;
        missing.download += package.wheel().map_or(0, |wheel| wheel.bytes);
        missing.disk += package.kept().map(|(_, kept)| kept.bytes).sum::<u64>();
    }
    Ok(missing)
}

/// The pip commands that download a plugin's wheels for this kind of machine, on any machine with a network connection.
///
/// # Errors
/// [`ErrorKind::Plugin`] when there is no package for this kind of machine.
pub fn wheel_commands(platform: Platform, build: Build, parts: Parts) -> Result<Vec<String>> {
    let bundle = bundle(platform, build)?;
    let command = |package: &'static Package| {
        let wheel = package.wheel().ok_or_else(|| no_package(platform, build))?;
        let (name, version, options) = (package.name, package.version, pip::options(package, wheel).join(" "));
        Ok(format!("python3 -m pip download {options} {name}=={version}"))
    };
    bundle.packages(parts).map(command).collect()
}

fn bundle(platform: Platform, build: Build) -> Result<Bundle> {
    packages::of_build(platform, build).ok_or_else(|| no_package(platform, build))
}

fn no_package(platform: Platform, build: Build) -> Error {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let what = match build == Build::default() {
        true => format!("no {platform} plugin package for {os} on {arch};"),
        false => format!("no build {build} of the {platform} plugin for {os} on {arch}; use the default one, or"),
    };
    Error::new(ErrorKind::Plugin, format!("there is {what} set SPIQ_PJRT_PLUGIN to a plugin file"))
}

/// The plugin to install and its cache folder.
struct Installation<'a> {
    bundle: Bundle,
    parts: Parts,
    cache: &'a Path,
}

/// Prefix of the temporary folder where an installation is prepared.
const WORK: &str = ".installing-";

impl Installation<'_> {
    fn run(&self, wheels: &Wheels, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        if let Some(plugin) = self.done()? {
            return Ok(plugin);
        }
        let plugins = self.cache.join("plugins");
        create_private(&plugins)?;
        owner::check(self.cache)?;
        owner::check(&plugins)?;
        let _lock = self.lock(&plugins, progress)?;
        // The previous holder of the lock may have installed it.
        if let Some(plugin) = self.done()? {
            return Ok(plugin);
        }
        let folder = self.bundle.folder(self.cache);
        for package in self.bundle.packages(self.parts).rev() {
            if verify::matches(package, &folder)? {
                continue;
            }
            let work = tempfile::Builder::new().prefix(WORK).tempdir_in(&plugins);
            let work = work.map_err(|e| Error::file(&plugins, "write to", e))?;
            self.add(package, wheels, work.path(), progress)?;
        }
        self.remove_others();
        // Also writes the stamp.
        self.done()?.ok_or_else(|| Error::new(ErrorKind::Plugin, format!("{} is damaged", folder.display())))
    }

    /// Takes a package's wheel, checks and unpacks it in `work`, and moves its files into the installation.
    fn add(
        &self,
        package: &'static Package,
        wheels: &Wheels,
        work: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let wheel = package.wheel().ok_or_else(|| no_package(self.bundle.platform, self.bundle.build))?;
        let file = match wheels {
            Wheels::Index => self.fetch(package, wheel, None, work, progress)?,
            Wheels::Mirror(index) => self.fetch(package, wheel, Some(index), work, progress)?,
            Wheels::Files(files) => self.copy(package, wheel, files, work, progress)?,
        };
        let ready = work.join("ready");
        wheel::unpack(package, wheel.kept, &file, &ready, &mut |done, total| {
            progress(at(package, Step::Unpack, done, total));
        })?;
        self.put_in_place(package, &ready)
    }

    /// Moves a package's files into the installation. A process that has opened an older file keeps that one.
    fn put_in_place(&self, package: &Package, ready: &Path) -> Result<()> {
        let folder = self.bundle.folder(self.cache);
        for (file, _) in package.kept() {
            let target = folder.join(file);
            create_private(target.parent().unwrap_or(&folder))?;
            std::fs::rename(ready.join(file), &target).map_err(|e| Error::file(&target, "create", e))?;
        }
        Ok(())
    }

    /// Removes what no package contains from the installation, such as files of an earlier layout. What cannot be removed does no harm.
    fn remove_others(&self) {
        let folder = self.bundle.folder(self.cache);
        let tops: BTreeSet<_> =
            self.bundle.kept(Parts::All).filter_map(|(file, _)| Path::new(file).components().next()).collect();
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if tops.iter().all(|top| top.as_os_str() != entry.file_name()) {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                drop(if is_folder {
                    std::fs::remove_dir_all(entry.path())
                } else {
                    std::fs::remove_file(entry.path())
                });
            }
        }
    }

    /// The plugin's file, if these parts of the installation are complete and unmodified.
    fn done(&self) -> Result<Option<PathBuf>> {
        let folder = self.bundle.folder(self.cache);
        if !self.bundle.complete(self.parts, &folder) {
            return Ok(None);
        }
        match verify::check(self.bundle, &folder) {
            Ok(()) => Ok(Some(folder.join(self.bundle.file()))),
            Err(other) if other.kind() == ErrorKind::Plugin => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Held until dropped. The holder is the only process at work: leftovers in the folder belong to processes that ended before
    /// they finished. On a file system without locks two may work at once: the renames at the end are still atomic.
    fn lock(&self, plugins: &Path, progress: &mut dyn FnMut(Progress)) -> Result<File> {
        let path = plugins.join("lock");
        let file = File::create(&path).map_err(|e| Error::file(&path, "create", e))?;
        loop {
            match file.try_lock() {
                Ok(()) => break remove_leftovers(plugins),
                Err(TryLockError::WouldBlock) => progress(at(&self.bundle.plugin[0], Step::Wait, 0, 0)),
                Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(_)) => break,
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(file)
    }

    /// A wheel downloaded by pip, checked.
    fn fetch(
        &self,
        package: &'static Package,
        wheel: &Wheel,
        index: Option<&str>,
        work: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf> {
        let mut report = |done: u64| progress(at(package, Step::Download, done.min(wheel.bytes), wheel.bytes));
        let file = pip::download(package, wheel, self.bundle, index, work, &mut report)?;
        report(wheel.bytes);
        let come_from = "it was not unpacked; check which python3 and pip come first in PATH, and the package index";
        wheel::check(package, wheel, &file, come_from)?;
        Ok(file)
    }

    /// A copy of the one of `files` that is the wheel. The copy is checked and unpacked, so later changes to the file do not matter.
    fn copy(
        &self,
        package: &'static Package,
        wheel: &Wheel,
        files: &[PathBuf],
        work: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf> {
        let mut last = None;
        for file in files {
            let meta = file.metadata().map_err(|e| Error::file(file, "read", e))?;
            if !meta.is_file() {
                return Err(Error::input(format!("{} is not a regular file; name the wheel itself", file.display())));
            }
            // The files of a bundle are distinguished by size.
            let other_one_follows = meta.len() != wheel.bytes && files.len() > 1;
            if other_one_follows {
                continue;
            }
            progress(at(package, Step::Copy, 0, wheel.bytes));
            let name = file.file_name().unwrap_or(package.name.as_ref());
            let copy = work.join(name);
            std::fs::copy(file, &copy).map_err(|e| Error::file(file, "copy", e))?;
            match wheel::check(package, wheel, &copy, "nothing was installed") {
                Ok(()) => return Ok(copy),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            Error::new(
                ErrorKind::Plugin,
                format!(
                    "none of the files is the wheel of {} {} for {} ({} bytes, sha256 {}); the {} plugin needs {}",
                    package.name,
                    package.version,
                    wheel.arch,
                    wheel.bytes,
                    wheel.sha256,
                    self.bundle.platform,
                    self.needs()
                ),
            )
        }))
    }

    /// The packages, for an error message.
    fn needs(&self) -> String {
        let packages = self.bundle.packages(self.parts);
        let names: Vec<String> = packages.map(|one| format!("{} {}", one.name, one.version)).collect();
        names.join(", ")
    }
}

fn at(package: &'static Package, step: Step, done: u64, total: u64) -> Progress {
    Progress { package: package.name, version: package.version, step, done, total }
}

/// Removes leftovers of unfinished installations, a few hundred megabytes each.
fn remove_leftovers(plugins: &Path) {
    let entries = std::fs::read_dir(plugins).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(WORK)) {
        // A leftover that cannot be removed does no harm.
        drop(std::fs::remove_dir_all(entry.path()));
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::checksum;
    use super::super::packages::Kept;
    use super::*;

    fn forever<T>(value: T) -> &'static [T] {
        Box::leak(Box::new([value]))
    }

    fn of(plugin: &'static [Package], libraries: &'static [Package]) -> Bundle {
        Bundle { platform: Platform::Cpu, build: Build::default(), plugin, libraries }
    }

    /// A bundle of one package with one small file, and its wheel.
    fn made_up(folder: &Path, contents: &str) -> (Bundle, PathBuf) {
        let (package, wheel) = package("made-up", &[("inside/lib.so", "lib/lib.so")], folder, contents);
        (of(forever(package), &[]), wheel)
    }

    /// A package of one small file, and its wheel.
    fn package(
        name: &'static str,
        files: &'static [(&'static str, &'static str)],
        folder: &Path,
        contents: &str,
    ) -> (Package, PathBuf) {
        let path = folder.join(format!("{contents}.whl"));
        let mut wheel = zip::ZipWriter::new(File::create(&path).expect("a file"));
        wheel.start_file(files[0].0, zip::write::SimpleFileOptions::default()).expect("an entry");
        wheel.write_all(contents.as_bytes()).expect("its bytes");
        wheel.finish().expect("a wheel");
        let file = folder.join(contents);
        std::fs::write(&file, contents).expect("a file");
        let sum = |path: &Path| &*checksum::of_file(path).expect("a readable file").leak();
        let kept = forever(Kept { bytes: contents.len() as u64, sha256: sum(&file) });
        let bytes = path.metadata().expect("a file").len();
        let wheels = forever(Wheel { arch: std::env::consts::ARCH, tag: "any", sha256: sum(&path), bytes, kept });
        (Package { name, version: "1", files, python: None, wheels }, path)
    }

    fn run(bundle: Bundle, cache: &Path, from: &[&Path]) -> std::result::Result<PathBuf, String> {
        run_parts(bundle, Parts::All, cache, from)
    }

    fn run_parts(bundle: Bundle, parts: Parts, cache: &Path, from: &[&Path]) -> std::result::Result<PathBuf, String> {
        let wheels = Wheels::Files(from.iter().map(|path| path.to_path_buf()).collect());
        Installation { bundle, parts, cache }.run(&wheels, &mut |_| {}).map_err(|e| e.to_string())
    }

    /// All names in the folder of plugins.
    fn names(cache: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(cache.join("plugins")).expect("the folder").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_of_this_machine_is_installed_and_what_the_dead_left_is_removed() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, cache) = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder")).into();
        let (bundle, wheel) = made_up(folder.path(), "library");
        let (cache, plugins) = (cache.path().join("new"), cache.path().join("new/plugins"));
        create_private(&plugins.join(".installing-killed/xla")).expect("what a killed process left");
        let installed = run(bundle, &cache, &[&wheel]).expect("installed");
        assert_eq!(std::fs::read_to_string(&installed).expect("a file"), "library");
        assert_eq!(names(&cache), ["lock", "made-up-1"]);
        for place in [&cache, &plugins, &plugins.join("made-up-1"), &plugins.join("made-up-1/lib")] {
            assert_eq!(place.metadata().expect("a folder").permissions().mode() & 0o777, 0o700, "{place:?}");
        }
        // Already installed: the source is not read again.
        assert_eq!(run(bundle, &cache, &[Path::new("/nowhere")]).as_ref(), Ok(&installed));
    }

    #[test]
    fn another_file_is_not_unpacked() {
        let (folder, cache) = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder")).into();
        let (bundle, wheel) = made_up(folder.path(), "library");
        let (_, same_size) = made_up(folder.path(), "lobrary");
        let (_, longer) = made_up(folder.path(), "library!");
        let refused = |from: &[&Path]| run(bundle, cache.path(), from).expect_err("another wheel");
        let said = refused(&[&same_size]);
        assert!(said.contains("lobrary.whl is not made-up 1") && said.contains("not the pinned"), "{said}");
        assert!(refused(&[&longer]).contains("bytes, not"));
        assert!(refused(&[&longer, &longer]).contains("none of the files is the wheel of made-up 1"));
        assert!(refused(&[Path::new("/dev/zero")]).contains("is not a regular file"));
        assert!(refused(&[&folder.path().join("none.whl")]).contains("cannot read"));
        assert_eq!(names(cache.path()), ["lock"]);
        run(bundle, cache.path(), &[&longer, &same_size, &wheel]).expect("the right one is among them");
    }

    #[test]
    fn a_changed_installation_is_replaced() {
        let (folder, cache) = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder")).into();
        let (bundle, wheel) = made_up(folder.path(), "library");
        let installed = run(bundle, cache.path(), &[&wheel]).expect("installed");
        std::fs::write(&installed, "lobrary").expect("another file");
        let said = run(bundle, cache.path(), &[Path::new("/nowhere")]).expect_err("it is to be replaced");
        assert!(said.contains("/nowhere"), "{said}");
        run(bundle, cache.path(), &[&wheel]).expect("installed");
        assert_eq!(std::fs::read_to_string(&installed).expect("a file"), "library");
    }

    /// A plugin with a library, and their wheels.
    fn with_library(folder: &Path) -> (Bundle, PathBuf, PathBuf) {
        let (plugin, plugin_wheel) = package("made-up", &[("a/lib.so", "a/lib.so")], folder, "plugin");
        let (library, library_wheel) = package("library", &[("b/lib/x.so.1", "b/lib/x.so.1")], folder, "a library");
        (of(forever(plugin), forever(library)), plugin_wheel, library_wheel)
    }

    #[test]
    fn an_interrupted_installation_continues() {
        let (folder, cache) = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder")).into();
        let (bundle, plugin, library) = with_library(folder.path());
        // The library comes first; without the plugin's wheel the installation ends there.
        run(bundle, cache.path(), &[&library, &library]).expect_err("the plugin's wheel is missing");
        let installed = bundle.folder(cache.path());
        assert_eq!(std::fs::read_to_string(installed.join("b/lib/x.so.1")).expect("a file"), "a library");
        assert_eq!(bundle.installed(cache.path()), None);
        // The wheel of the library is not asked for again.
        let file = run(bundle, cache.path(), &[&plugin]).expect("installed");
        assert_eq!(bundle.installed(cache.path()).as_ref(), Some(&file));
        assert!(installed.join(".verified").exists());
        assert_eq!(names(cache.path()), ["lock", "made-up-1"]);
    }

    #[test]
    fn libraries_may_come_later_or_be_replaced() {
        let (folder, cache) = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder")).into();
        let (bundle, plugin, library) = with_library(folder.path());
        let file = run_parts(bundle, Parts::Compiler, cache.path(), &[&plugin]).expect("without the library");
        let (installed, x) = (bundle.folder(cache.path()), bundle.folder(cache.path()).join("b/lib/x.so.1"));
        assert!(!x.exists());
        verify::check(bundle, &installed).expect("enough for compiling");
        run(bundle, cache.path(), &[Path::new("/nowhere")]).expect_err("the library is missing");
        assert_eq!(run(bundle, cache.path(), &[&library]).as_ref(), Ok(&file));
        std::fs::write(&x, "a lobrary").expect("another file");
        let said = verify::check(bundle, &installed).expect_err("another file").to_string();
        assert!(said.contains("x.so.1 is "), "{said}");
        run(bundle, cache.path(), &[&library]).expect("replaced");
        verify::check(bundle, &installed).expect("as pinned");
    }

    #[test]
    fn files_of_an_earlier_layout_are_removed() {
        let (folder, cache) = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder")).into();
        let (bundle, wheel) = made_up(folder.path(), "library");
        let installed = bundle.folder(cache.path());
        create_private(&installed.join("bin")).expect("a folder");
        std::fs::write(installed.join("lib.so"), "old").expect("a file");
        run(bundle, cache.path(), &[&wheel]).expect("installed");
        let left = std::fs::read_dir(&installed).expect("the folder").flatten().map(|entry| entry.file_name());
        assert_eq!(left.collect::<BTreeSet<_>>(), [".verified".into(), "lib".into()].into());
    }

    #[test]
    fn who_waits_for_another_says_so() {
        let (folder, cache) = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder")).into();
        let (bundle, wheel) = made_up(folder.path(), "library");
        create_private(&cache.path().join("plugins")).expect("a folder");
        let held = File::create(cache.path().join("plugins/lock")).expect("a file");
        held.lock().expect("nobody else holds it");
        let (mut held, mut steps) = (Some(held), Vec::new());
        let installation = Installation { bundle, parts: Parts::All, cache: cache.path() };
        let done = installation.run(&Wheels::Files(vec![wheel]), &mut |progress| {
            steps.push(progress.step);
            held = None;
        });
        done.expect("installed");
        assert_eq!(steps, [Step::Wait, Step::Copy, Step::Unpack]);
    }
}
