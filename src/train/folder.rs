//! Whose a folder of results is: one process writes there at a time, and through no link. Knows nothing of what is written.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use spiq_events::{remove_leftovers, result_builder};

use super::start::RUN_FILES;
use crate::error::{Error, ErrorKind, Result};

/// The file that says that a process writes in a folder. It is locked for as long as the process lives, and removed at its end; where a
/// process was killed it stays, and counts for nothing.
pub const LOCK: &str = ".spiq.lock";

/// A folder of results in which no other process of spiq trains, until this is dropped. The lock ends with its process, however that ends.
///
/// ```
/// use spiq::train::FolderLock;
/// let folder = tempfile::tempdir()?;
/// let lock = FolderLock::take(folder.path())?;
/// let refused = FolderLock::take(folder.path()).unwrap_err().to_string();
/// assert!(refused.contains("is in use by another run"), "{refused}");
/// drop(lock);
/// FolderLock::take(folder.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Locked until it is closed.
    _file: File,
}

impl FolderLock {
    /// Takes a folder, which is there, and removes from it what killed processes left half-written. On a file system without locks it is
    /// taken all the same.
    ///
    /// # Errors
    /// Of kind `Input`: another process has it, or a link lies in the place of a file that a run writes. Of kind `File`: it cannot be
    /// written in.
    pub fn take(folder: &Path) -> Result<FolderLock> {
        check_no_links(folder)?;
        let path = folder.join(LOCK);
        let mut file = loop {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = open.map_err(|cause| Error::file(folder, "write in the folder", cause))?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(in_use(folder, file)),
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // Who had the lock may have removed the file in between: then this lock is one on nothing.
            if is_at(&file, &path) {
                break file;
            }
        };
        _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        remove_leftovers(folder);
        Ok(FolderLock { path, _file: file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Before the lock ends.
        _ = std::fs::remove_file(&self.path);
    }
}

fn in_use(folder: &Path, mut lock: File) -> Error {
    let mut process = String::new();
    _ = lock.read_to_string(&mut process);
    let process = process.trim().parse::<u32>().map_or_else(|_| String::new(), |id| format!(" (process {id})"));
    Error::input(format!(
        "{} is in use by another run{process}; wait for its end or stop it, or give another folder with --out",
        folder.display()
    ))
}

/// Whether a file is still the one of that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// An open file cannot be removed there.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Refuses a folder in which a file that a run writes is a link: what it leads to is somebody else's.
fn check_no_links(folder: &Path) -> Result<()> {
    let links = RUN_FILES.iter().copied().chain([LOCK]).map(|name| folder.join(name));
    match links.into_iter().find(|path| path.is_symlink()) {
        Some(link) => Err(Error::input(format!(
            "{} is a link, and a run writes through none; remove it, or give another folder with --out",
            link.display()
        ))),
        None => Ok(()),
    }
}

/// Makes the folder for a run's results, with those above it, and tries to write in it, so that a run does not fail at
/// its first checkpoint.
///
/// # Errors
/// Of kind `File` when it cannot be made or written to. A folder made on the way stays; no file does.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// spiq::train::prepare_folder(&folder.path().join("runs/digits"))?;
/// assert!(folder.path().join("runs/digits").is_dir());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prepare_folder(folder: &Path) -> Result<()> {
    if folder.is_file() {
        let message = format!("cannot make the folder {}: it is a file; name another folder (--out)", folder.display());
        return Err(Error::new(ErrorKind::File, message));
    }
    std::fs::create_dir_all(folder).map_err(|cause| Error::file(folder, "make the folder", cause))?;
    result_builder().tempfile_in(folder).map(drop).map_err(|cause| Error::file(folder, "write in the folder", cause))
}
