//! The lock of a folder that a data set is downloaded into, and the removal of folders that killed processes left in it.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};

/// The prefix of temporary folders that archives are unpacked into.
pub const UNPACKING: &str = ".unpacking";

/// Random characters in such a name.
pub const DRAWN: usize = 6;

/// A process that another thread starts holds a copy of a lock that was just released, until it has become its own program. So a lock
/// that is held is tried again for a second.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Locks the folder until the result is dropped, and removes temporary folders of killed processes. `None` if the file system does not
/// support locks on folders: nothing is removed then.
///
/// # Errors
/// `Input` if another process fetches into it.
pub fn take(folder: &Path) -> Result<Option<File>> {
    let Ok(lock) = File::open(folder) else { return Ok(None) };
    let mut tried = lock.try_lock();
    for _ in 0..ATTEMPTS {
        if !matches!(tried, Err(TryLockError::WouldBlock)) {
            break;
        }
        thread::sleep(PAUSE);
        tried = lock.try_lock();
    }
    match tried {
        Ok(()) => {
            remove_leftovers(folder);
            Ok(Some(lock))
        }
        Err(TryLockError::WouldBlock) => Err(Error::input(format!(
            "another process fetches into {}; wait until it has ended, or name another folder",
            folder.display()
        ))),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && is_unpacking(&entry.file_name().to_string_lossy()) {
            _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_unpacking(name: &str) -> bool {
    let drawn = name.strip_prefix(UNPACKING);
    drawn.is_some_and(|drawn| drawn.len() == DRAWN && drawn.chars().all(|letter| letter.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_processes_unpacked_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".unpackingAb3dE6", ".unpacking-mine", "Train"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("half"), "x").unwrap();
        }
        fs::write(at(".unpackingAb3dE7"), "a file").unwrap();
        let Some(lock) = take(folder.path()).unwrap() else {
            println!("SKIPPED: this file system locks no folders");
            return;
        };
        assert!(!at(".unpackingAb3dE6").exists());
        assert!([".unpacking-mine/half", "Train/half", ".unpackingAb3dE7"].iter().all(|name| at(name).exists()));
        let refused = take(folder.path()).unwrap_err().to_string();
        assert!(refused.starts_with("another process fetches into "), "{refused}");
        drop(lock);
        take(folder.path()).unwrap();
    }
}
