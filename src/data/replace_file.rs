//! Replaces a file atomically.

use std::io::{self, Write};
use std::path::Path;

use spiq_events::{file_beside, put_in_place};

use crate::error::{Error, Result};

/// Writes `bytes` to `path`, replacing any old contents. A reader, or a crash at any moment, sees either the old
/// contents or the new ones.
///
/// # Errors
/// Of kind `File`, when the folder is missing or not writable, or the disk is full. The old file is then unchanged.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("notes.txt");
/// spiq::data::replace_file(&path, b"new")?;
/// assert_eq!(std::fs::read(&path)?, b"new");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    replace_file_with(path, |file| file.write_all(bytes))
}

/// Like [`replace_file`], with contents written piece by piece.
///
/// # Errors
/// As for [`replace_file`], plus those of `write`.
pub(super) fn replace_file_with(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    write_beside(folder, path, write).map_err(|cause| Error::file(path, "write", nameless(cause)))
}

/// Removes the name of the temporary file from an error, which is of no use to the user.
pub(crate) fn nameless(cause: io::Error) -> io::Error {
    let names_it = cause.get_ref().is_some_and(|own| own.to_string().contains(" at path "));
    if names_it { cause.kind().into() } else { cause }
}

fn write_beside(folder: &Path, path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = file_beside(folder)?;
    write(&mut file)?;
    put_in_place(file, path)
}
