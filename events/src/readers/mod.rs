//! One file a format, and which format a path is of.

mod heap;
mod order;
mod shd;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::collection::Collection;
use super::error::{Error, Result};
use super::sound;

/// What an HDF5 file begins with.
const HDF5: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// The name of the built-in spoken digits where a path is wanted; a file of that name is `./speech`.
pub const SPEECH: &str = "speech";

/// The collection at a path: a file or a folder, whose contents say the format; or the built-in one that is named [`SPEECH`].
///
/// # Errors
/// `File` when it cannot be read, `Input` when it is of no known format or damaged.
pub fn open(path: &Path) -> Result<Box<dyn Collection>> {
    if path.as_os_str() == SPEECH {
        return Ok(Box::new(sound::speech()));
    }
    let mut start = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(8).read_to_end(&mut start));
    opened.map_err(|cause| Error::file("read", path, cause))?;
    if start == HDF5 {
        return Ok(Box::new(shd::Shd::open(path)?));
    }
    Err(Error::input(format!("{} is of no format that is read here", path.display())))
}
