//! Downloads a known data set: resumes an interrupted download, verifies it, unpacks it.
//!
//! Downloads use the system's `curl` with its proxies and certificates, so this crate needs no TLS library.

mod alone;
mod download;
mod unpack;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use md5::{Digest, Md5};

use super::error::{Error, Result};
use super::readers::{Archive, Known};

/// The current step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Downloading.
    Download,
    /// Computing the md5.
    Verify,
    /// Unpacking the archive.
    Unpack,
}

impl Step {
    /// A word for progress messages, before the name of an archive.
    pub fn doing(self) -> &'static str {
        match self {
            Step::Download => "downloading",
            Step::Verify => "verifying",
            Step::Unpack => "unpacking",
        }
    }
}

/// The progress of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// The archive.
    pub archive: &'static str,
    /// Bytes done.
    pub done: u64,
    /// Total bytes, if known.
    pub total: Option<u64>,
}

/// Makes a data set complete in a folder: downloads, verifies and unpacks missing parts. `mirror` is the address of a folder with the
/// archives, used instead of their own addresses.
///
/// An interrupted download leaves a file `….part`, from which the next call resumes. A file with the wrong md5 is deleted, and so are the
/// folders that killed calls were unpacking into.
///
/// # Errors
/// `Input` if another process fetches into the folder, the download fails, the md5 differs, or the archive lacks an expected file; `File`
/// if the disk is full or the folder is not writable.
pub fn fetch(known: &Known, folder: &Path, mirror: Option<&str>, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    fs::create_dir_all(folder).map_err(|cause| Error::file("make", folder, cause))?;
    let _lock = alone::take(folder)?;
    known.archives.iter().try_for_each(|archive| one(archive, folder, mirror, progress))
}

fn one(archive: &Archive, folder: &Path, mirror: Option<&str>, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    if folder.join(archive.holds).exists() {
        return Ok(());
    }
    let url = match mirror {
        Some(mirror) => format!("{}/{}", mirror.trim_end_matches('/'), archive.file),
        None => archive.url.to_owned(),
    };
    let part = folder.join(format!("{}.part", archive.file));
    let mut said = |step, done, total| progress(Progress { step, archive: archive.file, done, total });
    // A part may be complete already, if a later step was interrupted.
    let mut sum = if part.exists() { md5_of(&part, &mut said)? } else { String::new() };
    if sum != archive.md5 {
        download::to(&part, &url, &mut said)?;
        sum = md5_of(&part, &mut said)?;
    }
    let unpacked = unpack::beside(&part, archive, folder, &mut said);
    // The md5 may be that of the file inside the archive.
    let inside = unpacked.as_ref().map(|folder| folder.path().join(archive.holds)).ok();
    let own = match inside.filter(|inside| sum != archive.md5 && inside.is_file()) {
        Some(inside) => md5_of(&inside, &mut said)?,
        None => sum.clone(),
    };
    if own != archive.md5 {
        remove(&part)?;
        let wanted = archive.md5;
        return Err(Error::input(format!(
            "the md5 of {url} is {sum}, but must be {wanted}; it was deleted: fetch it again, or from a mirror"
        )));
    }
    let unpacked = unpacked?;
    let inside = unpacked.path().join(archive.holds);
    let target = folder.join(archive.holds);
    fs::rename(&inside, &target).map_err(|cause| Error::file("write", &target, cause))?;
    remove(&part)
}

type Said<'a> = dyn FnMut(Step, u64, Option<u64>) + 'a;

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(|cause| Error::file("remove", path, cause))
}

fn md5_of(path: &Path, said: &mut Said) -> Result<String> {
    let cannot = |cause| Error::file("read", path, cause);
    let mut file = File::open(path).map_err(cannot)?;
    let total = file.metadata().map_err(cannot)?.len();
    let (mut sum, mut done, mut buffer) = (Md5::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer).map_err(cannot)?;
        if count == 0 {
            return Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        sum.update(&buffer[..count]);
        done += count as u64;
        said(Step::Verify, done, Some(total));
    }
}
