//! One file a format, and which format a path is of.

mod heap;
mod order;
mod shd;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::collection::Collection;
use super::error::{Error, Result};

/// What an HDF5 file begins with.
const HDF5: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// The collection at a path: a file or a folder, whose contents say the format.
///
/// # Errors
/// `File` when it cannot be read, `Input` when it is of no known format or damaged.
pub fn open(path: &Path) -> Result<Box<dyn Collection>> {
    let mut start = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(8).read_to_end(&mut start));
    opened.map_err(|cause| Error::file("read", path, cause))?;
    if start == HDF5 {
        return Ok(Box::new(shd::Shd::open(path)?));
    }
    Err(Error::input(format!("{} is of no format that is read here", path.display())))
}
