//! Downloads wheels with the user's pip, which uses its index, proxy and certificates. pip's result is not trusted: the caller checks
//! the file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use super::folders::variable;
use super::packages::{Bundle, Package, Wheel};
use super::python::{self, Running};
use crate::error::{Error, ErrorKind, Result};

/// Downloads the wheel of a package into a new folder under `work` and returns its path. `index` is the URL of a package index that
/// replaces the one configured for pip. `report` receives the number of bytes downloaded.
pub fn download(
    package: &Package,
    wheel: &Wheel,
    bundle: Bundle,
    index: Option<&str>,
    work: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<PathBuf> {
    let folder = work.join(package.name);
    let list = work.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", package.name, package.version, wheel.sha256);
    std::fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, "create", e))?;
    std::fs::write(&list, line).map_err(|e| Error::file(&list, "write", e))?;
    let log = work.join("pip.log");
    let mut said = String::new();
    for flag in python::FLAGS {
        let status = run(flag, package, wheel, index, &list, &folder, &log, report)?;
        if status.success() {
            return downloaded(&folder).ok_or_else(|| failed(package, bundle, "pip downloaded nothing"));
        }
        said = std::fs::read_to_string(&log).unwrap_or_default();
        if !said.contains(NO_PIP) {
            break;
        }
    }
    Err(failed(package, bundle, &said))
}

/// The pip options that select the wheel for this kind of machine.
pub fn options(package: &Package, wheel: &Wheel) -> Vec<&'static str> {
    let mut options = vec!["--no-deps", "--only-binary=:all:", "--platform", wheel.tag];
    if let Some((version, abi)) = package.python {
        options.extend(["--python-version", version, "--implementation", "cp", "--abi", abi]);
    }
    options
}

/// Python's message when pip is missing.
const NO_PIP: &str = "No module named pip";

#[expect(clippy::too_many_arguments, reason = "the parts of a pip command")]
fn run(
    flag: &str,
    package: &Package,
    wheel: &Wheel,
    index: Option<&str>,
    list: &Path,
    folder: &Path,
    log: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<ExitStatus> {
    let log_file = File::create(log).map_err(|e| Error::file(log, "create", e))?;
    let mut command = python::pip(flag, folder);
    command.args(["download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2"]);
    command.args(options(package, wheel)).arg("--require-hashes");
    // Passed as an argument, because a pip isolated from environment variables needs it as well.
    match (index, variable("PIP_INDEX_URL")) {
        (Some(index), _) => drop(command.args(["--index-url", index])),
        (None, Some(index)) => drop(command.arg("--index-url").arg(index)),
        (None, None) => {}
    }
    command.arg("--requirement").arg(list).arg("--dest").arg(folder);
    // pip's temporary files are in `folder` as well, so its size shows the progress of the download.
    command.env("TMPDIR", folder).env("PIP_REQUIRE_VIRTUALENV", "0");
    command.stdout(Stdio::null()).stderr(log_file);
    let mut running = Running::start(command).map_err(|e| {
        let how = "to install from a local wheel, run `spiq plugin install NAME --from FILE`; or set SPIQ_PJRT_PLUGIN to a \
                   plugin file";
        Error::new(ErrorKind::Plugin, format!("python3 is needed to fetch a plugin ({how})")).because(e)
    })?;
    loop {
        match running.ended() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => report(size_of_files(folder)),
            Err(e) => return Err(Error::new(ErrorKind::Plugin, "cannot wait for pip").because(e)),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Summarizes pip's log in one sentence.
fn failed(package: &Package, bundle: Bundle, log: &str) -> Error {
    let what = format!("cannot fetch the {} plugin ({} {})", bundle.platform, package.name, package.version);
    let then = format!("run `{}`, or set SPIQ_PJRT_PLUGIN to a plugin file", bundle.command());
    let has = |words: &[&str]| words.iter().any(|word| log.contains(word));
    let why = match () {
        () if has(&[NO_PIP]) => "python3 has no pip; install it (`python3 -m ensurepip`), then ".to_owned(),
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
            "there is no connection to the package index; once connected (or with `--index URL` for a mirror, or `--from FILE` for a \
             local wheel), "
                .to_owned()
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

/// Total size of all files under a folder, in bytes.
fn size_of_files(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size_of_files(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
