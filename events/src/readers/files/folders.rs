//! Class folders with recordings: N-MNIST and the user's own recordings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::recording::Format;
use super::{Entry, Files, Plan};
use crate::error::{Error, Result};

/// The collection of one or two folders with class folders; of two, the first is the training part. `None` if they contain no
/// recordings.
///
/// # Errors
/// `File` for an unreadable folder; those of the first recordings.
pub fn class_folders(roots: &[&Path]) -> Result<Option<Files>> {
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for (part, root) in roots.iter().enumerate() {
        for folder in entries(root)?.into_iter().filter(|path| path.is_dir()) {
            let files = recordings(&folder)?;
            let name = name(&folder);
            if !files.is_empty() {
                // Numeric names are sorted as numbers.
                names.insert((name.parse::<u32>().map_or(u64::MAX, u64::from), name.clone()));
            }
            found.extend(files.into_iter().map(|(path, format)| (part, name.clone(), path, format)));
        }
    }
    let classes: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
    let label = |name: &String| classes.iter().position(|class| class == name).map(|place| place as u32);
    let entry = |(_, name, path, format): &(usize, String, PathBuf, Format)| Entry {
        path: path.clone(),
        format: *format,
        label: label(name),
        speaker: None,
        cut: None,
    };
    let entries: Vec<Entry> = found.iter().map(entry).collect();
    if entries.is_empty() {
        return Ok(None);
    }
    let train = (roots.len() > 1).then(|| found.iter().filter(|(part, ..)| *part == 0).count());
    Plan { entries, classes, train, ..Plan::default() }.open().map(Some)
}

/// The collection of the recordings directly in a folder, without classes. `None` if there are none.
///
/// # Errors
/// As [`class_folders`].
pub fn loose(root: &Path) -> Result<Option<Files>> {
    let entry = |(path, format)| Entry { path, format, label: None, speaker: None, cut: None };
    let entries: Vec<Entry> = recordings(root)?.into_iter().map(entry).collect();
    if entries.is_empty() {
        return Ok(None);
    }
    Plan { entries, ..Plan::default() }.open().map(Some)
}

/// The recordings in a folder, sorted by name.
fn recordings(folder: &Path) -> Result<Vec<(PathBuf, Format)>> {
    let mut found = Vec::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_file()) {
        found.extend(Format::of(&path)?.map(|format| (path, format)));
    }
    Ok(found)
}

/// The entries of a folder, sorted by name, without hidden files.
///
/// # Errors
/// `File` for an unreadable folder.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = listed.map_err(|cause| Error::file("read", folder, cause))?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
