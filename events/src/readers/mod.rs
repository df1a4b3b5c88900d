//! One file a format, and which format a path is of.

use std::path::Path;

use super::collection::Collection;
use super::error::{Error, Result};

/// The collection at a path: a file or a folder, whose contents say the format.
///
/// # Errors
/// `File` when it cannot be read, `Input` when it is of no known format or damaged.
pub fn open(path: &Path) -> Result<Box<dyn Collection>> {
    Err(Error::input(format!("{} is of no format that is read here", path.display())))
}
