//! Temporary files that become results when renamed: ownership, and cleanup after killed processes.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// Prefix and suffix of their names.
const NAME: (&str, &str) = (".spiq-", ".tmp");

/// Number of random characters in a name.
const DRAWN: usize = 6;

/// Builds a temporary file to be renamed to a result, with the permissions of any new file instead of private ones.
pub fn result_builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(NAME.0).suffix(NAME.1).rand_bytes(DRAWN);
    #[cfg(unix)]
    {
        // Temporary files are private by default, but this one becomes a result, so the user's umask applies.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Creates a temporary file in a folder. While it is open, [`remove_leftovers`] leaves it alone.
///
/// # Errors
/// The system's error.
pub fn file_beside(folder: &Path) -> io::Result<NamedTempFile> {
    let file = result_builder().tempfile_in(folder)?;
    // On a file system without locks, leftovers are not removed either.
    _ = file.as_file().try_lock();
    Ok(file)
}

/// Renames the file to `path` once its contents are on disk: after a system crash there is either the old file or this one.
///
/// # Errors
/// The system's error; the old file is then unchanged.
pub fn put_in_place(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_folder(path.parent().unwrap_or(Path::new("")));
    Ok(())
}

/// Syncs a folder, so that renames and removals survive a system crash. Not every file system can open or sync a folder; the contents
/// of files are intact either way.
pub fn sync_folder(folder: &Path) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Removes temporary files left by killed processes: those in a folder that no process is writing.
pub fn remove_leftovers(folder: &Path) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_temporary(&entry.file_name().to_string_lossy()) && is_left(&entry.path()) {
            _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_temporary(name: &str) -> bool {
    let drawn = name.strip_prefix(NAME.0).and_then(|name| name.strip_suffix(NAME.1));
    drawn.is_some_and(|drawn| drawn.len() == DRAWN && drawn.chars().all(|letter| letter.is_ascii_alphanumeric()))
}

/// Whether no process is writing the file. If that is uncertain, returns false.
fn is_left(path: &Path) -> bool {
    match File::open(path).map(|file| file.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_nobody_writes_are_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let written = file_beside(folder.path()).unwrap();
        for name in [".spiq-abcDE1.tmp", ".spiq-abc.tmp", ".spiq-abcde/.tmp", "mine.tmp"] {
            _ = std::fs::write(at(name), "x");
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("mine.tmp"), at(".spiq-linked.tmp")).unwrap();
        remove_leftovers(folder.path());
        assert!(!at(".spiq-abcDE1.tmp").exists());
        assert!(at(".spiq-abc.tmp").exists() && at("mine.tmp").exists() && written.path().exists());
        #[cfg(unix)]
        assert!(at(".spiq-linked.tmp").is_symlink());
        put_in_place(written, &at("result")).unwrap();
        assert!(at("result").exists());
    }
}
