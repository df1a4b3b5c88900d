//! The folders where this library stores files between runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The folder of installed plugins and compiled programs: `SPIQ_CACHE_DIR`, else `spiq` under `XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// [`ErrorKind::Input`](crate::ErrorKind::Input) when neither these variables nor `HOME` are set.
pub fn cache_dir() -> Result<PathBuf> {
    let own = variable("SPIQ_CACHE_DIR").map(PathBuf::from);
    let shared = || variable("XDG_CACHE_HOME").map(|dir| PathBuf::from(dir).join("spiq"));
    let home = || variable("HOME").map(|dir| PathBuf::from(dir).join(".cache/spiq"));
    own.or_else(shared)
        .or_else(home)
        .ok_or_else(|| Error::input("there is no home folder: set SPIQ_CACHE_DIR to a folder"))
}

/// The value of an environment variable that is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Creates a folder and its parents with access for the owner only, because they hold code. An existing folder is left unchanged.
///
/// # Errors
/// Kind `File`.
pub fn create_private(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
            let message =
                format!("cannot create {}: a part of it is a file; set SPIQ_CACHE_DIR to a folder", folder.display());
            Error::new(ErrorKind::File, message)
        }
        _ => Error::file(folder, "create", e),
    })
}
