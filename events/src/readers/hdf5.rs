//! Reads data sets and attributes of an HDF5 file. `rust-hdf5` allocates the size that a data set claims, so the size is checked first.
//!
//! Errors are the ends of sentences.

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::Path;

use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, Hdf5Error};

/// The largest ratio of deflate: 258 bytes from two bits.
const DEFLATE: u64 = 1032;
/// The largest data set that is read as a whole, in bytes: 67 million samples of SHD.
const LARGEST: u64 = 1 << 30;
/// The largest number of names: one for each value of a `u16`.
const NAMES: usize = 1 << 16;

type Result<T> = std::result::Result<T, String>;

/// An open file.
pub struct Hdf5 {
    file: H5File,
    /// In bytes.
    length: u64,
}

impl Hdf5 {
    /// Reads the structure of the file at `path`, which is open as `file`.
    pub fn open(path: &Path, file: &File) -> Result<Hdf5> {
        let incomplete = |error: &dyn std::fmt::Display| format!("it is not a complete HDF5 file ({error})");
        let length = file.metadata().map_err(|error| incomplete(&error))?.len();
        Ok(Hdf5 { file: H5File::open(path).map_err(|error| incomplete(&error))?, length })
    }

    /// The offset from which addresses count.
    pub fn base(&self) -> u64 {
        self.file.userblock_size()
    }

    /// A data set of a size that the file can hold, if it exists.
    pub fn dataset(&self, name: &str) -> Result<Option<H5Dataset>> {
        let data = match self.file.dataset(name) {
            Ok(data) => data,
            Err(Hdf5Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(format!("`{name}` is damaged ({error})")),
        };
        // A chunk that was never written takes no room in the file, but no program leaves such chunks in a data set of recordings.
        let most = if data.is_chunked() { self.length.saturating_mul(DEFLATE) } else { self.length };
        match bytes(&data) {
            Some(bytes) if bytes <= most.min(LARGEST) => Ok(Some(data)),
            _ => Err(format!(
                "`{name}` claims {} elements, more than a file of {} bytes holds (the most is {} bytes); it is damaged",
                elements(&data.shape()),
                self.length,
                most.min(LARGEST)
            )),
        }
    }

    /// One number per sample.
    pub fn numbers(&self, name: &str, count: usize) -> Result<Option<Vec<u32>>> {
        let Some(data) = self.dataset(name)? else { return Ok(None) };
        if let Ok(other @ (DatatypeMessage::FloatingPoint { .. } | DatatypeMessage::FixedString { .. })) =
            data.datatype()
        {
            return Err(format!("`{name}` holds {other}, but must hold integers"));
        }
        let numbers: Vec<i64> =
            data.read_numeric_as().map_err(|error| format!("`{name}` holds no integers ({error})"))?;
        if numbers.len() != count {
            return Err(format!("`{name}` has {} elements for {count} samples", numbers.len()));
        }
        let beyond = |number: i64| format!("`{name}` holds {number}, but its numbers must lie between 0 and 2^32 - 1");
        let numbers = numbers.into_iter().map(|number| u32::try_from(number).map_err(|_| beyond(number)));
        numbers.collect::<Result<_>>().map(Some)
    }

    /// Texts; none if the data set does not exist.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        let Some(data) = self.dataset(name)? else { return Ok(Vec::new()) };
        match data.total_elements() {
            0..=NAMES => data.read_strings_lossy().map_err(|error| format!("`{name}` holds no texts ({error})")),
            more => Err(format!("`{name}` holds {more} texts, but at most {NAMES} are read")),
        }
    }

    /// A whole-number attribute of the root.
    pub fn attribute(&self, name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        if !self.file.attr_names().is_ok_and(|names| names.iter().any(|one| one == name)) {
            return Ok(None);
        }
        let text =
            self.file.attr_string(name).map_err(|error| format!("the attribute `{name}` is not a text ({error})"))?;
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or(format!(
            "the attribute `{name}` must be a text with a number from {} to {}; \
             write it in h5py as f.attrs['{name}'] = '{}'",
            range.start(),
            range.end(),
            range.end().min(&1000)
        ))
    }
}

/// The bytes that a data set claims, unless that overflows.
fn bytes(data: &H5Dataset) -> Option<u64> {
    data.shape().iter().try_fold(data.element_size() as u64, |bytes, size| bytes.checked_mul(*size as u64))
}

/// A shape as a product: `2 × 3`.
fn elements(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}
