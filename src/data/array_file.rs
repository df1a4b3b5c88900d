//! Reads and writes safetensors files of named arrays: input is untrusted, output is replaced atomically.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde_json::Value;
use spiq_events::open_file;
use spiq_hlo::{Array, DType, Kind, TensorType};

use super::checksum;
use super::replace_file::replace_file_with;
use crate::capacity::Need;
use crate::error::{Error, Result};

/// The contents of a safetensors file: named arrays, plus metadata strings by name.
///
/// The format has no element types below a byte. Such an array is stored as I8 or U8, one element per byte, and the metadata entry
/// `dtype:NAME` gives its type (`s4`). The same arrays and metadata always produce the same bytes.
///
/// ```
/// use spiq::{Array, data::ArrayFile};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.safetensors");
/// let mut file = ArrayFile::default();
/// file.arrays.insert("x".into(), Array::new([2], [1.0f32, 2.0])?);
/// file.write(&path)?;
/// assert_eq!(ArrayFile::read(&path)?, file);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrayFile {
    /// The arrays by name.
    pub arrays: BTreeMap<String, Array>,
    /// Strings by name.
    pub metadata: BTreeMap<String, String>,
}

impl ArrayFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Of kind `File` when it cannot be read; of kind `Input` when it is not complete, consistent safetensors, or has an element type that
    /// [`DType`] lacks.
    pub fn read(path: &Path) -> Result<ArrayFile> {
        ArrayFile::read_checked(path).map(|(file, _)| file)
    }

    /// Like [`read`](ArrayFile::read); also returns whether the file has a checksum.
    pub(crate) fn read_checked(path: &Path) -> Result<(ArrayFile, bool)> {
        let source = path.display().to_string();
        let unread = |cause| Error::file(path, "read", cause);
        let mut file = open_file(path).map_err(unread)?;
        let size = file.metadata().map_err(unread)?.len();
        let mut bytes = Vec::new();
        (&file).take(8).read_to_end(&mut bytes).map_err(unread)?;
        if let Some(length) = bytes.first_chunk().map(|length| u64::from_le_bytes(*length)) {
            (&file).take(length.min(LONGEST_HEADER)).read_to_end(&mut bytes).map_err(unread)?;
        }
        // Rejects a huge file of another format before reading it into memory.
        check_header(&bytes, size).map_err(|reason| broken(&source, reason))?;
        let doing = format!("reading {source}");
        Need { doing: &doing, bytes: size, of: "all of its arrays", instead: "take a smaller file" }.check()?;
        file.read_to_end(&mut bytes).map_err(unread)?;
        ArrayFile::parse_checked(&bytes, &source)
    }

    /// Parses a file's contents. `source` names the file in messages.
    ///
    /// # Errors
    /// As [`ArrayFile::read`].
    pub fn parse(bytes: &[u8], source: &str) -> Result<ArrayFile> {
        ArrayFile::parse_checked(bytes, source).map(|(file, _)| file)
    }

    fn parse_checked(bytes: &[u8], source: &str) -> Result<(ArrayFile, bool)> {
        let broken = |reason: String| broken(source, reason);
        check_header(bytes, bytes.len() as u64).map_err(broken)?;
        let is_checked = checksum::check(bytes).map_err(|reason| Error::input(format!("{source} {reason}")))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(e.to_string()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| broken(e.to_string()))?;
        let mut metadata: BTreeMap<String, String> =
            header.metadata().clone().unwrap_or_default().into_iter().collect();
        if is_checked {
            metadata.remove(checksum::ENTRY);
        }
        let mut arrays = BTreeMap::new();
        for (name, view) in tensors.iter() {
            let narrow = metadata.remove(&dtype_key(name));
            let array = to_array(&view, narrow.as_deref());
            arrays.insert(name.to_owned(), array.map_err(|reason| broken(format!("tensor `{name}` {reason}")))?);
        }
        Ok((ArrayFile { arrays, metadata }, is_checked))
    }

    /// The file's contents.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes).expect("writing to memory succeeds");
        bytes
    }

    fn write_to(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (header, order) = self.parts(self.metadata.clone());
        out.write_all(&header)?;
        order.iter().try_for_each(|array| out.write_all(&stored_bytes(array)))
    }

    /// Writes the contents with a checksum of all bytes in the metadata entry `checksum`, which readers verify.
    pub(crate) fn write_checked_to(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let mut metadata = self.metadata.clone();
        metadata.insert(checksum::ENTRY.to_owned(), checksum::NONE.to_owned());
        let (mut header, order) = self.parts(metadata);
        let mut sum = crc32fast::Hasher::new();
        sum.update(&header);
        order.iter().for_each(|array| sum.update(&stored_bytes(array)));
        checksum::set(&mut header, sum.finalize());
        out.write_all(&header)?;
        order.iter().try_for_each(|array| out.write_all(&stored_bytes(array)))
    }

    /// The header of a file with this metadata, and the arrays in the order in which they follow it.
    fn parts(&self, mut metadata: BTreeMap<String, String>) -> (Vec<u8>, Vec<&Array>) {
        let narrow = self.arrays.iter().filter(|(_, array)| array.dtype().bits() < 8);
        metadata.extend(narrow.map(|(name, array)| (dtype_key(name), array.dtype().name().to_owned())));
        let mut order: Vec<(&String, &Array)> = self.arrays.iter().collect();
        // Widest elements first, so that each array is aligned to its element size.
        order.sort_by_key(|(_, array)| std::cmp::Reverse(array.dtype().host_bytes()));
        (header(&order, metadata), order.into_iter().map(|(_, array)| array).collect())
    }

    /// Writes the file atomically: completely or not at all.
    ///
    /// # Errors
    /// Of kind `File`, as [`replace_file`](super::replace_file()); of kind `Input` for an array named `__metadata__`.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check_names(path)?;
        // Streams the arrays one by one, so that memory need not hold a second copy of them.
        replace_file_with(path, |out| self.write_to(out))
    }

    /// Like [`write`](ArrayFile::write), with a checksum.
    pub(crate) fn write_checked(&self, path: &Path) -> Result<()> {
        self.check_names(path)?;
        replace_file_with(path, |out| self.write_checked_to(out))
    }

    fn check_names(&self, path: &Path) -> Result<()> {
        match self.arrays.contains_key(METADATA) {
            true => Err(Error::input(format!("cannot write {}: no array may be named {METADATA}", path.display()))),
            false => Ok(()),
        }
    }
}

const METADATA: &str = "__metadata__";

fn dtype_key(name: &str) -> String {
    format!("dtype:{name}")
}

fn broken(source: &str, reason: String) -> Error {
    Error::input(format!("{source} is not a usable safetensors file: {reason}"))
}

/// The longest header that the `safetensors` crate accepts.
const LONGEST_HEADER: u64 = 100_000_000;

/// Checks that the header's offsets lie within the file, since the crate adds them up unchecked. `start` begins with the header, if there
/// is one, of a file of `size` bytes.
fn check_header(start: &[u8], size: u64) -> std::result::Result<(), String> {
    let Some((length, rest)) = start.split_first_chunk::<8>() else {
        return Err("it has fewer than the 8 bytes of a header's length".into());
    };
    let (length, follow) = (u64::from_le_bytes(*length), size.saturating_sub(8));
    let Some(header) = usize::try_from(length).ok().and_then(|n| rest.get(..n)).filter(|_| length <= follow) else {
        return Err(match length > follow {
            true => format!("its header should have {length} bytes, but {follow} follow"),
            false => format!("its header should have {length} bytes, but at most {LONGEST_HEADER} are supported"),
        });
    };
    let data = follow - length;
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).map_err(|e| format!("its header: {e}"))?;
    let fits = |end: &Value| end.as_u64().is_some_and(|end| end <= data);
    for (name, entry) in header.iter().filter(|(name, _)| *name != METADATA) {
        if !entry["data_offsets"].as_array().is_some_and(|ends| ends.iter().all(fits)) {
            return Err(format!("tensor `{name}` does not lie within the {data} bytes of data (is the file cut off?)"));
        }
    }
    Ok(())
}

/// The array of a view, or the reason it is invalid, as the end of a sentence.
fn to_array(view: &TensorView<'_>, narrow: Option<&str>) -> std::result::Result<Array, String> {
    let stored = from_safetensors(view.dtype()).ok_or(format!("has the unsupported type {:?}", view.dtype()))?;
    let dtype = match narrow {
        None => stored,
        Some(name) => narrow_type(name, stored).ok_or(format!("is stored as {stored} and cannot be {name}"))?,
    };
    let array = Array::from_bytes(TensorType::new(dtype, view.shape()), view.data()).map_err(|e| e.to_string())?;
    if narrow.is_some() && !in_range(&array) || dtype == DType::Pred && view.data().iter().any(|b| *b > 1) {
        return Err(format!("has a value that {dtype} cannot hold"));
    }
    Ok(array)
}

fn narrow_type(name: &str, stored: DType) -> Option<DType> {
    DType::from_name(name).filter(|dtype| dtype.bits() < 8 && storage(*dtype) == stored)
}

/// Whether every byte fits its sub-byte element; signed elements must be sign-extended.
fn in_range(array: &Array) -> bool {
    let bits = array.dtype().bits();
    match array.dtype().integer_range() {
        Some((low, high)) if low < 0 => array.bytes().iter().all(|b| (low..=high).contains(&i128::from(*b as i8))),
        _ => array.bytes().iter().all(|b| u32::from(*b) < 1 << bits),
    }
}

/// The array's bytes. The upper bits of a sub-byte element carry no information and are overwritten by sign or zero extension.
fn stored_bytes(array: &Array) -> Cow<'_, [u8]> {
    let dtype = array.dtype();
    let spare = 8u32.saturating_sub(dtype.bits() as u32);
    match dtype.kind() {
        _ if spare == 0 => Cow::Borrowed(array.bytes()),
        Kind::Signed => array.bytes().iter().map(|b| ((*b << spare) as i8 >> spare) as u8).collect(),
        _ => array.bytes().iter().map(|b| *b << spare >> spare).collect(),
    }
}

/// The byte-wide type that stores a sub-byte type; other types store themselves.
fn storage(dtype: DType) -> DType {
    match dtype {
        DType::S2 | DType::S4 => DType::S8,
        DType::U2 | DType::U4 | DType::F4E2M1FN => DType::U8,
        other => other,
    }
}

const TYPES: [(Dtype, &str, DType); 16] = [
    (Dtype::BOOL, "BOOL", DType::Pred),
    (Dtype::I8, "I8", DType::S8),
    (Dtype::I16, "I16", DType::S16),
    (Dtype::I32, "I32", DType::S32),
    (Dtype::I64, "I64", DType::S64),
    (Dtype::U8, "U8", DType::U8),
    (Dtype::U16, "U16", DType::U16),
    (Dtype::U32, "U32", DType::U32),
    (Dtype::U64, "U64", DType::U64),
    (Dtype::BF16, "BF16", DType::BF16),
    (Dtype::F16, "F16", DType::F16),
    (Dtype::F32, "F32", DType::F32),
    (Dtype::F64, "F64", DType::F64),
    (Dtype::F8_E4M3, "F8_E4M3", DType::F8E4M3FN),
    (Dtype::F8_E5M2, "F8_E5M2", DType::F8E5M2),
    (Dtype::F8_E8M0, "F8_E8M0", DType::F8E8M0FNU),
];

fn from_safetensors(dtype: Dtype) -> Option<DType> {
    TYPES.iter().find(|(theirs, ..)| *theirs == dtype).map(|(.., ours)| *ours)
}

#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'a str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__", skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    entries: BTreeMap<&'a str, Entry<'a>>,
}

/// The length and the JSON of the header. Not the crate's own, which writes the metadata in random order.
fn header(order: &[(&String, &Array)], metadata: BTreeMap<String, String>) -> Vec<u8> {
    let mut end = 0;
    let entries = order.iter().map(|(name, array)| {
        let start = end;
        end += array.bytes().len();
        let stored = storage(array.dtype());
        let dtype = TYPES.iter().find(|(.., ours)| *ours == stored).expect("each stored type has a name").1;
        (name.as_str(), Entry { dtype, shape: array.dims(), data_offsets: [start, end] })
    });
    let header = Header { metadata, entries: entries.collect() };
    let mut json = serde_json::to_vec(&header).expect("a header of strings and numbers");
    // The data starts at a multiple of eight bytes.
    json.resize(json.len().next_multiple_of(8), b' ');
    [&(json.len() as u64).to_le_bytes(), json.as_slice()].concat()
}
