//! The fuzz targets: readers that return whether they accepted an input.

mod choices;
mod files;
mod kernels;
mod recordings;
mod settings;

/// A reader and real inputs for it.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Reads an input and returns whether it was accepted.
    pub read: fn(&[u8]) -> bool,
    /// Inputs that must be accepted.
    pub corpus: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    settings::MODEL,
    settings::RULES,
    choices::CHOICES,
    files::ARRAYS,
    files::CHECKPOINT,
    files::METRICS,
    recordings::HDF5,
    recordings::NUMPY,
    recordings::AEDAT,
    recordings::EVENTS,
    recordings::SOUND,
    kernels::TEXT,
    kernels::WORDS,
];

/// The target with this name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The input as text, if it is UTF-8.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// Writes the input to a file with this name and reads it.
fn as_file<T>(name: &str, input: &[u8], read: impl FnOnce(&std::path::Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, input).expect("room for a temporary file");
    read(&path)
}
