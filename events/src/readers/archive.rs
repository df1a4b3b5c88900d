//! Whole arrays of a `.npz` archive, as `numpy.savez` writes them.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;

use super::numpy;
use crate::error::{Error, Result};
use crate::regular_file::open_file;

/// One array of an archive: row-major, little-endian elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainArray {
    /// Size of each axis.
    pub shape: Vec<usize>,
    /// NumPy's letter of the element type: `b` for booleans, `i`, `u`, `f`.
    pub letter: char,
    /// Bytes per element.
    pub size: usize,
    /// The elements.
    pub bytes: Vec<u8>,
}

/// The names of the arrays of a `.npz` archive, sorted. Empty for anything else, including files that cannot be read.
pub fn archive_names(path: &Path) -> Vec<String> {
    let Ok(file) = open_file(path) else { return Vec::new() };
    let mut names = zip::ZipArchive::new(file).map_or_else(|_| Vec::new(), |archive| members(&archive));
    names.sort();
    names
}

/// All arrays of a `.npz` archive by name.
///
/// # Errors
/// `File` if it cannot be read, `Input` if it is damaged or has an array whose elements are not plain numbers.
pub fn read_archive(path: &Path) -> Result<BTreeMap<String, PlainArray>> {
    let refused = |reason: String| Error::input(format!("{} cannot be read as NumPy: {reason}", path.display()));
    let file = open_file(path).map_err(|cause| Error::file("read", path, cause))?;
    let mut archive =
        zip::ZipArchive::new(file).map_err(|_| refused("it is not a complete zip file (is it cut off?)".into()))?;
    let mut arrays = BTreeMap::new();
    for name in members(&archive) {
        let array = member(&mut archive, &name).map_err(|reason| refused(format!("`{name}`: {reason}")))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn members<R: Read + Seek>(archive: &zip::ZipArchive<R>) -> Vec<String> {
    archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned())).collect()
}

fn member<R: Read + Seek>(archive: &mut zip::ZipArchive<R>, name: &str) -> std::result::Result<PlainArray, String> {
    let file = archive.by_name(&format!("{name}.npy")).map_err(|error| format!("it is damaged ({error})"))?;
    numpy::Array::read(file)?.plain()
}
