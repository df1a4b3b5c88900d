//! Exclusive ownership of a results folder: one process writes to it at a time, and never through links.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use spiq_events::{remove_leftovers, result_builder};

use super::start::RUN_FILES;
use crate::error::{Error, ErrorKind, Result};

/// The file that marks a folder as in use. It is locked for as long as the process lives, and removed at its end; a killed process leaves
/// it behind unlocked, which has no effect.
pub const LOCK: &str = ".spiq.lock";

/// A results folder in which no other spiq process trains until this is dropped. The lock ends with its process, however that ends.
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
    /// Locked until closed.
    _file: File,
}

impl FolderLock {
    /// Locks an existing folder and removes partial files that killed processes left in it. On a file system without locks it succeeds
    /// without locking.
    ///
    /// # Errors
    /// Of kind `Input`: another process holds the lock, or a file that a run writes is a link. Of kind `File`: the folder is not writable.
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
            // The previous holder may have removed the file in between, which would leave this lock on an unlinked file.
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
        // Before the lock is released.
        _ = std::fs::remove_file(&self.path);
    }
}

fn in_use(folder: &Path, mut lock: File) -> Error {
    let mut process = String::new();
    _ = lock.read_to_string(&mut process);
    let process = process.trim().parse::<u32>().map_or_else(|_| String::new(), |id| format!(" (process {id})"));
    Error::input(format!(
        "{} is in use by another run{process}; wait for it to end or stop it, or give another folder with --out",
        folder.display()
    ))
}

/// Whether an open file is still the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// On these systems an open file cannot be removed, so the path still refers to it.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Refuses a folder in which a file that a run writes is a link, since its target may belong to something else.
fn check_no_links(folder: &Path) -> Result<()> {
    let links = RUN_FILES.iter().copied().chain([LOCK]).map(|name| folder.join(name));
    match links.into_iter().find(|path| path.is_symlink()) {
        Some(link) => Err(Error::input(format!(
            "{} is a link, and a run never writes through links; remove it, or give another folder with --out",
            link.display()
        ))),
        None => Ok(()),
    }
}

/// Creates the folder for a run's results, including its parents, and tries to write to it, so that a run does not fail at its first
/// checkpoint.
///
/// # Errors
/// Of kind `File` when it cannot be created or written to. Newly created parents stay; no file does.
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
