//! Real files of the repository, the seeds of mutations.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Reads a file of the repository.
///
/// # Panics
/// If the file does not exist.
pub fn file(name: &str) -> Vec<u8> {
    fs::read(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files in a folder with this name ending; none if the folder does not exist.
pub fn files(folder: &str, end: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(end));
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// The kept inputs that once made a target fail.
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    files(&format!("fuzz/corpus/{target}"), "")
}
