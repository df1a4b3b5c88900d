//! What reads inputs. Each target says whether it took one.

mod choices;
mod files;
mod kernels;
mod recordings;
mod settings;

/// A reader and real inputs for it.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Reads an input; whether it was taken.
    pub read: fn(&[u8]) -> bool,
    /// Inputs that are taken.
    pub corpus: fn() -> Vec<Vec<u8>>,
}

/// All of them.
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

/// The target of this name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The input as text, if it is text.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// Reads the input as a file of this name.
fn as_file<T>(name: &str, input: &[u8], read: impl FnOnce(&std::path::Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, input).expect("room for a temporary file");
    read(&path)
}
