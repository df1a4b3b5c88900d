//! Where this library keeps its files between runs. Knows nothing of what lies there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// The folder of installed plugins and compiled programs: `SPIQ_CACHE_DIR`, else `spiq` under `XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// [`ErrorKind::Input`](crate::ErrorKind::Input) when none of the variables nor `HOME` is set.
pub fn cache_dir() -> Result<PathBuf> {
    let own = variable("SPIQ_CACHE_DIR").map(PathBuf::from);
    let shared = || variable("XDG_CACHE_HOME").map(|dir| PathBuf::from(dir).join("spiq"));
    let home = || variable("HOME").map(|dir| PathBuf::from(dir).join(".cache/spiq"));
    own.or_else(shared)
        .or_else(home)
        .ok_or_else(|| Error::input("no home folder is known: set SPIQ_CACHE_DIR to a folder"))
}

/// An environment variable that is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Makes a folder, and those that it lies in, which nobody else may look into: what is kept there is code. A folder that is there stays as
/// it is.
///
/// # Errors
/// Of kind `File`.
pub fn create_private(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
            let message = format!("cannot create {}: a part of it is a file; set SPIQ_CACHE_DIR to a folder", folder.display());
            Error::new(ErrorKind::File, message)
        }
        _ => Error::file(folder, "create", e),
    })
}
