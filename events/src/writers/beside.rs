//! The temporary files that results are written in before they are renamed: whose they are, and what killed processes left of them.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// What their names start and end with.
const NAME: (&str, &str) = (".spiq-", ".tmp");

/// Characters of a name that are drawn.
const DRAWN: usize = 6;

/// Builds a temporary file that is renamed to a result: with the rights of any new file, not those of a private one.
pub fn result_builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(NAME.0).suffix(NAME.1).rand_bytes(DRAWN);
    #[cfg(unix)]
    {
        // A temporary file is private by default, but this one becomes a result: the user's umask decides.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// A file in a folder that becomes a result. While it is open, [`remove_leftovers`] leaves it alone.
///
/// # Errors
/// What the system says.
pub fn file_beside(folder: &Path) -> io::Result<NamedTempFile> {
    let file = result_builder().tempfile_in(folder)?;
    // Without locks a file system has no leftovers removed either.
    _ = file.as_file().try_lock();
    Ok(file)
}

/// Gives the file the name `path`, once all of it is on the disk: after a crash of the machine there is either the old file or
/// this one.
///
/// # Errors
/// What the system says; the old file is then unchanged.
pub fn put_in_place(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_folder(path.parent().unwrap_or(Path::new("")));
    Ok(())
}

/// Puts the names of a folder's files on the disk: a file that was renamed or removed comes back otherwise, after a crash of the
/// machine. Not every file system lets a folder be opened or synced; the contents of files are whole either way.
pub fn sync_folder(folder: &Path) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Removes the temporary files of results in a folder that no process is writing: those of processes that were killed.
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

/// Whether nobody is writing the file. Where that cannot be known it is taken for being written.
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
