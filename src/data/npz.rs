//! Data sets in NumPy's `.npz` archives: arrays named as in a safetensors file, and numbers in place of its metadata.

use std::path::Path;

use spiq_events::{PlainArray, archive_names, read_archive};
use spiq_hlo::{Array, DType, TensorType};

use super::array_file::ArrayFile;
use super::inputs::{IMAGES, INPUTS};
use crate::error::{Error, Result};

/// Whether a file is an archive with samples. Archives of events have other arrays.
pub(super) fn is_npz(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
        && archive_names(path).iter().any(|name| name == INPUTS || name == IMAGES)
}

/// The arrays of an archive; those without axes become metadata entries.
///
/// # Errors
/// As [`ArrayFile::read`].
pub(super) fn read_npz(path: &Path) -> Result<ArrayFile> {
    let mut file = ArrayFile::default();
    for (name, array) in read_archive(path)? {
        let refused = |reason: String| Error::input(format!("{}: `{name}` {reason}", path.display()));
        let scalar = array.shape.is_empty();
        let array = to_array(array).map_err(refused)?;
        match scalar {
            true => file.metadata.insert(name, array.to_f64()[0].to_string()).map(drop),
            false => file.arrays.insert(name, array).map(drop),
        };
    }
    Ok(file)
}

fn to_array(array: PlainArray) -> std::result::Result<Array, String> {
    let dtype = match (array.letter, array.size) {
        ('b', 1) => DType::Pred,
        ('i', 1) => DType::S8,
        ('i', 2) => DType::S16,
        ('i', 4) => DType::S32,
        ('i', 8) => DType::S64,
        ('u', 1) => DType::U8,
        ('u', 2) => DType::U16,
        ('u', 4) => DType::U32,
        ('u', 8) => DType::U64,
        ('f', 2) => DType::F16,
        ('f', 4) => DType::F32,
        ('f', 8) => DType::F64,
        (letter, size) => return Err(format!("has the unsupported type {letter}{size}")),
    };
    Array::from_bytes(TensorType::new(dtype, array.shape), array.bytes).map_err(|error| error.to_string())
}
