//! Installs plugins: the pinned packages through the user's own pip, unpacked into the cache folder. Prints nothing.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::abi::platform::Platform;
use super::folders::cache_dir;
use super::packages::{self, Bundle, Package, Wheel};
use crate::error::{Error, ErrorKind, Result};

/// How far an installation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The package that is worked on.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What is being done with it.
    pub step: Step,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// The steps of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// pip fetches it and verifies its checksum.
    Download,
    /// The files that are needed are unpacked.
    Unpack,
}

/// Installs the plugin of `platform` into the cache folder, unless it is there, and returns its file.
///
/// Versions and checksums are pinned. `progress` is called about ten times a second. Two processes may do this at once: one
/// waits for the other.
///
/// # Errors
/// [`ErrorKind::Plugin`] when there is no package for this machine, no `python3`, no pip, no network, or the checksum differs.
pub fn install(platform: Platform, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    install_into(&cache_dir()?, platform, progress)
}

/// As [`install`], into another cache folder.
///
/// # Errors
/// As [`install`].
pub fn install_into(cache: &Path, platform: Platform, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let bundle = packages::of(platform).ok_or_else(|| no_package(platform))?;
    if let Some(plugin) = bundle.installed(cache) {
        return Ok(plugin);
    }
    let plugins = cache.join("plugins");
    std::fs::create_dir_all(&plugins).map_err(|e| Error::file(&plugins, "create", e))?;
    let _lock = lock(&plugins)?;
    // The one who held the lock may have done the work.
    if let Some(plugin) = bundle.installed(cache) {
        return Ok(plugin);
    }
    let work = tempfile::Builder::new().prefix(".installing-").tempdir_in(&plugins);
    let work = work.map_err(|e| Error::file(&plugins, "write to", e))?;
    let ready = work.path().join("ready");
    for package in bundle.0 {
        let wheel = package.wheel().ok_or_else(|| no_package(platform))?;
        let file = download(package, wheel, platform, work.path(), progress)?;
        unpack(package, &file, &ready, progress)?;
    }
    put_in_place(bundle, &ready, cache)
}

fn no_package(platform: Platform) -> Error {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    Error::new(
        ErrorKind::Plugin,
        format!("there is no {platform} plugin package for {os} on {arch}; name a plugin file in SPIQ_PJRT_PLUGIN"),
    )
}

/// Held until dropped. On a file system without locks both may work: the renames at the end are atomic all the same.
fn lock(plugins: &Path) -> Result<File> {
    let path = plugins.join("lock");
    let file = File::create(&path).map_err(|e| Error::file(&path, "create", e))?;
    drop(file.lock());
    Ok(file)
}

fn put_in_place(bundle: Bundle, ready: &Path, cache: &Path) -> Result<PathBuf> {
    let folder = bundle.folder(cache);
    if !bundle.complete(ready) {
        return Err(Error::new(ErrorKind::Plugin, "the downloaded plugin package does not hold what was expected"));
    }
    if std::fs::rename(ready, &folder).is_err() && !bundle.complete(&folder) {
        // What lies there is damaged: a complete installation is used, never replaced.
        drop(std::fs::remove_dir_all(&folder));
        std::fs::rename(ready, &folder).map_err(|e| Error::file(&folder, "create", e))?;
    }
    bundle.installed(cache).ok_or_else(|| Error::new(ErrorKind::Plugin, format!("{} is damaged", folder.display())))
}

/// Lets pip fetch one package, so that the user's own index, proxy and certificates are used.
fn download(
    package: &'static Package,
    wheel: &'static Wheel,
    platform: Platform,
    work: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let folder = work.join(package.name);
    let list = work.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", package.name, package.version, wheel.sha256);
    std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, "create", e))?;
    std::fs::write(&list, line).map_err(|e| Error::file(&list, "write", e))?;
    let log = work.join("pip.log");
    let mut report = |done: u64| {
        let (total, step) = (wheel.bytes, Step::Download);
        progress(Progress { package: package.name, version: package.version, step, done: done.min(total), total });
    };
    let succeeded = run_pip(package, wheel, &list, &folder, &log, &mut report)?;
    if !succeeded {
        return Err(pip_failed(package, platform, &std::fs::read_to_string(&log).unwrap_or_default()));
    }
    report(wheel.bytes);
    downloaded(&folder).ok_or_else(|| pip_failed(package, platform, "pip downloaded nothing"))
}

fn run_pip(
    package: &Package,
    wheel: &Wheel,
    list: &Path,
    folder: &Path,
    log: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<bool> {
    let log_file = File::create(log).map_err(|e| Error::file(log, "create", e))?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2"]);
    command.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--platform", wheel.tag]);
    if let Some((version, abi)) = package.python {
        command.args(["--python-version", version, "--implementation", "cp", "--abi", abi]);
    }
    command.arg("--requirement").arg(list).arg("--dest").arg(folder);
    // pip's temporary files lie in `folder`, too, so its size tells how far the download is.
    command.env("TMPDIR", folder).env("PIP_REQUIRE_VIRTUALENV", "0");
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log_file).spawn();
    let mut child = child.map_err(|e| {
        Error::new(ErrorKind::Plugin, "python3 is needed to fetch a plugin (or name a plugin file in SPIQ_PJRT_PLUGIN)")
            .because(e)
    })?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) => report(size_of_files(folder)),
            Err(e) => return Err(Error::new(ErrorKind::Plugin, "cannot wait for pip").because(e)),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// One sentence for pip's log.
fn pip_failed(package: &Package, platform: Platform, log: &str) -> Error {
    let what = format!("cannot fetch the {platform} plugin ({} {})", package.name, package.version);
    let then = format!("run `spiq plugin install {platform}`, or name a plugin file in SPIQ_PJRT_PLUGIN");
    let has = |words: &[&str]| words.iter().any(|word| log.contains(word));
    let why = match () {
        () if has(&["No module named pip"]) => {
            "python3 has no pip; install it (`python3 -m ensurepip`), then ".to_owned()
        }
        () if has(&["DO NOT MATCH THE HASHES"]) => {
            "its checksum differs from the pinned one; check the package index, then ".to_owned()
        }
        () if has(&[
            "NewConnectionError",
            "Temporary failure in name resolution",
            "ConnectTimeoutError",
            "ProxyError",
        ]) =>
        {
            "there is no connection to the package index; once there is one, ".to_owned()
        }
        () => {
            let line = log.lines().rev().find(|line| line.starts_with("ERROR")).or(log.lines().last());
            format!("pip says `{}`; then ", line.unwrap_or("nothing").trim())
        }
    };
    Error::new(ErrorKind::Plugin, format!("{what}: {why}{then}"))
}

fn downloaded(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "whl"))
}

/// Bytes of all files under a folder.
fn size_of_files(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_of_files(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn unpack(package: &'static Package, wheel: &Path, ready: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let broken = |e| Error::new(ErrorKind::Plugin, format!("cannot unpack {}", wheel.display())).because(e);
    let file = File::open(wheel).map_err(|e| Error::file(wheel, "read", e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for (inside, outside) in package.files {
        let mut entry = archive.by_name(inside).map_err(broken)?;
        let (target, total) = (ready.join(outside), entry.size());
        let mut report = |done| {
            let step = Step::Unpack;
            progress(Progress { package: package.name, version: package.version, step, done, total });
        };
        copy(&mut entry, &target, &mut report).map_err(|e| Error::file(&target, "write", e))?;
    }
    Ok(())
}

fn copy(from: &mut impl Read, to: &Path, report: &mut dyn FnMut(u64)) -> std::io::Result<()> {
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    let mut file = File::create(to)?;
    let mut block = vec![0; 4 << 20];
    let mut done = 0;
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            break;
        }
        file.write_all(&block[..read])?;
        done += read as u64;
        report(done);
    }
    make_executable(&file)
}

/// `ptxas` is a program, and libraries are executable by custom.
fn make_executable(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    file.sync_all()
}
