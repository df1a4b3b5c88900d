//! File formats, one file each, and the detection of a path's format.

mod aedat3;
mod aedat4;
mod archive;
mod files;
mod hdf5;
mod heap;
mod joined;
mod known;
mod nmnist;
mod numpy;
mod order;
mod python;
mod recording;
mod shd;

use std::io::Read;
use std::path::{Path, PathBuf};

use super::collection::Collection;
use super::error::{Error, Result};
use super::regular_file::open_file;
use super::sound;
use recording::Format;

pub use archive::{PlainArray, archive_names, read_archive};
pub use known::{Archive, KNOWN, Known};

/// The signature of HDF5 files.
const HDF5: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// Endings of the file and folder names of a data set's parts, in the order of their samples.
const PARTS: [&[&str]; 3] = [&["train"], &["valid", "validation"], &["test"]];

/// A file format of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFormat {
    /// Its name.
    pub name: &'static str,
    /// Endings of its file names.
    pub endings: &'static str,
    /// The contents of one file.
    pub contents: &'static str,
}

/// The formats that [`open`] reads.
pub const FORMATS: [FileFormat; 4] = [
    FileFormat {
        name: "HDF5 in the layout of SHD",
        endings: ".h5",
        contents: "Many recordings with their classes: `spikes/times` and `spikes/units`, `labels`; optionally \
                   `extra/keys` (class names) and `extra/speaker`.",
    },
    FileFormat { name: "N-MNIST", endings: ".bin", contents: "One recording, 5 bytes per event." },
    FileFormat {
        name: "NumPy",
        endings: ".npy, .npz",
        contents: "One recording: events (x, y, p, t) of a camera or (t, unit) of a cochlea.",
    },
    FileFormat { name: "AEDAT 3.1 and 4", endings: ".aedat, .aedat4", contents: "One recording of a DVS camera." },
];

/// The formats, for messages.
fn formats() -> String {
    FORMATS.map(|format| format!("{} ({})", format.name, format.endings)).join(", ")
}

/// The name, in place of a path, of the built-in spoken digits; a file of that name is `./speech`.
pub const SPEECH: &str = "speech";

/// Opens the collection at a path: a file or folder, whose contents determine the format, or the built-in one named [`SPEECH`].
///
/// | path | samples |
/// |---|---|
/// | HDF5 | one per row of `spikes/times`, as in SHD and SSC |
/// | `.bin` `.npy` `.npz` `.aedat` `.aedat4` | one |
/// | folder with `…train.h5` and `…test.h5` | of both; the first is the training part |
/// | folder with folders `Train` and `Test` | of both; the first is the training part |
/// | folder of folders of recordings | one per file; the folders are the classes |
/// | folder of `user01_fluorescent`… | the gestures as stored by tonic |
/// | folder of `.aedat` and `_labels.csv` | the gestures of each recording |
/// | folder of recordings | one per file, without classes |
///
/// # Errors
/// `File` if it cannot be read, `Input` if it is damaged or in no known format. If `path` names a known data set that is missing, the
/// message gives its source.
pub fn open(path: &Path) -> Result<Box<dyn Collection>> {
    if path.as_os_str() == SPEECH {
        return Ok(Box::new(sound::speech()));
    }
    match Known::named(&path.to_string_lossy()) {
        Some(known) if !path.exists() => Err(Error::input(known.missing(path))),
        _ if path.is_dir() => folder(path),
        _ => file(path),
    }
}

fn file(path: &Path) -> Result<Box<dyn Collection>> {
    let mut start = Vec::new();
    let opened = open_file(path).and_then(|file| file.take(8).read_to_end(&mut start));
    opened.map_err(|cause| Error::file("read", path, cause))?;
    if start == HDF5 {
        return Ok(Box::new(shd::Shd::open(path)?));
    }
    if let Some(format) = Format::of(path)? {
        return Ok(Box::new(files::single(path, format)?));
    }
    let hdf5 = path.extension().is_some_and(|extension| extension == "h5" || extension == "hdf5");
    Err(Error::input(match hdf5 {
        true => format!(
            "{} is not an HDF5 file (its first bytes differ); is the download complete and unpacked?",
            path.display()
        ),
        false => format!("{} is in none of the supported formats: {}", path.display(), formats()),
    }))
}

fn folder(path: &Path) -> Result<Box<dyn Collection>> {
    let entries = files::entries(path)?;
    let hdf5 = parts(&entries, |path| path.is_file() && path.extension().is_some_and(|extension| extension == "h5"));
    if !hdf5.is_empty() {
        let parts = hdf5.into_iter().map(|part| Ok(Box::new(shd::Shd::open(part)?) as Box<dyn Collection>));
        return Ok(Box::new(joined::Joined::new(parts.collect::<Result<_>>()?)?));
    }
    let folders = parts(&entries, |path| path.is_dir());
    // A single one may be a class of that name.
    let roots = if folders.len() < 2 { vec![path] } else { folders };
    refuse_hdf5(path, &entries)?;
    let attempts = [files::users(&roots), files::class_folders(&roots), files::labelled(path), files::loose(path)];
    for attempt in attempts {
        if let Some(files) = attempt? {
            return Ok(Box::new(files));
        }
    }
    Err(match Known::named(&files::name(path)) {
        Some(known) => Error::input(known.missing(path)),
        None => Error::input(format!(
            "the folder {} has no recordings in a supported format: {}",
            path.display(),
            formats()
        )),
    })
}

/// Refuses HDF5 files in class folders instead of skipping them: an HDF5 file holds many samples with their classes.
///
/// # Errors
/// `Input` if a folder among `entries` contains one, or if `entries` are HDF5 files only.
fn refuse_hdf5(path: &Path, entries: &[PathBuf]) -> Result<()> {
    let is = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        matches!(extension.to_ascii_lowercase().as_str(), "h5" | "hdf5") && path.is_file()
    };
    let mut found = entries.iter().find(|_| entries.iter().all(is)).cloned();
    for folder in entries.iter().filter(|path| path.is_dir()) {
        found = found.or(files::entries(folder)?.into_iter().find(is));
    }
    match found {
        None => Ok(()),
        Some(found) => Err(Error::input(format!(
            "the folder {} holds HDF5 files that are not parts of one data set (…train.h5, …valid.h5, …test.h5); name one \
             of them: {}",
            path.display(),
            found.display()
        ))),
    }
}

/// The parts of one data set among `entries`, the training part first.
fn parts(entries: &[PathBuf], wanted: impl Fn(&Path) -> bool) -> Vec<&Path> {
    let is = |path: &Path, ends: &[&str]| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        ends.iter().any(|end| stem.ends_with(end))
    };
    let of = |ends: &&[&str]| entries.iter().find(|path| wanted(path) && is(path, ends)).map(PathBuf::as_path);
    PARTS.iter().filter_map(of).collect()
}
