//! The last two checkpoints in the folder of a run: the newer one is read unless it is damaged.

use std::path::{Path, PathBuf};

use spiq_events::{file_beside, put_in_place};

use super::checkpoint::Checkpoint;
use super::start::METRICS;
use crate::data::nameless;
use crate::error::{Error, Result};
use crate::provenance::key;

/// The newer checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";

/// The previous checkpoint.
pub(super) const PREVIOUS: &str = "checkpoint-previous.safetensors";

/// Intermediate name while the newer checkpoint becomes the previous one. It is named like a temporary file, so that it is removed if
/// orphaned.
const LINK: &str = ".spiq-before.tmp";

/// The checkpoint to resume from.
pub(super) struct Latest {
    pub(super) checkpoint: Checkpoint,
    /// The path of its file, for messages.
    pub(super) source: String,
    /// Why it is not the newer one, as a sentence.
    pub(super) note: Option<String>,
}

/// Whether a folder has a checkpoint.
pub fn has_checkpoint(folder: &Path) -> bool {
    [CHECKPOINT, PREVIOUS].iter().any(|name| folder.join(name).exists())
}

/// The checkpoint of the run whose results are in a folder: the newer of the last two or, if that is damaged or missing, the other. Its
/// metadata contains everything that determines the bits of the run ([`Provenance`](crate::provenance::Provenance)).
///
/// # Errors
/// Of kind `File` or `Input`: there is none, for example because the run ended before its first one; both are damaged.
pub fn checkpoint_in(folder: &Path) -> Result<Checkpoint> {
    checkpoint_with_note(folder).map(|(checkpoint, _)| checkpoint)
}

/// Like [`checkpoint_in`], with a note if it is the older one.
///
/// # Errors
/// As [`checkpoint_in`].
pub fn checkpoint_with_note(folder: &Path) -> Result<(Checkpoint, Option<String>)> {
    read(folder, "reading the previous checkpoint instead").map(|latest| (latest.checkpoint, latest.note))
}

/// The checkpoint that a run resumes from.
pub(super) fn latest(folder: &Path) -> Result<Latest> {
    read(folder, "resuming from the previous checkpoint")
}

/// The newer checkpoint, or the older one with a note that contains `instead`.
fn read(folder: &Path, instead: &str) -> Result<Latest> {
    let [newer, older] = [CHECKPOINT, PREVIOUS].map(|name| folder.join(name));
    // A new run removes the checkpoints of an older one, so that they cannot be mistaken for its own.
    if !has_checkpoint(folder) && folder.join(METRICS).exists() {
        return Err(Error::input(format!(
            "there is no {}: the run in this folder ended before its first checkpoint; start a new run without --resume",
            newer.display()
        )));
    }
    let said = |path: &Path| path.display().to_string();
    let error = match whole(&newer) {
        Ok(checkpoint) => return Ok(Latest { checkpoint, source: said(&newer), note: None }),
        Err(error) => error,
    };
    match whole(&older) {
        Ok(checkpoint) => {
            let step = checkpoint.metadata.get(key::step).map_or("?", String::as_str);
            let note = format!("note: {error}; {instead}, {}, at step {step}", said(&older));
            Ok(Latest { checkpoint, source: said(&older), note: Some(note) })
        }
        Err(_) => Err(error),
    }
}

/// An error of reading parameters; where they are the newer checkpoint of a run, with the name of the older one.
pub fn naming_the_older(error: Error, path: &Path) -> Error {
    let older = path.with_file_name(PREVIOUS);
    match path.file_name().is_some_and(|name| name == CHECKPOINT) && older.exists() {
        true => Error::new(error.kind(), format!("{error}; the previous checkpoint is {}", older.display())),
        false => error,
    }
}

/// Reads a checkpoint and verifies that it is intact.
fn whole(path: &Path) -> Result<Checkpoint> {
    let (checkpoint, is_checked) = Checkpoint::load_checked(path)?;
    // Every file that names its run was written with a checksum.
    match is_checked || !checkpoint.metadata.contains_key(key::run) {
        true => Ok(checkpoint),
        false => Err(Error::input(format!("{} is damaged: its checksum is missing", path.display()))),
    }
}

/// Stores a new checkpoint and keeps the newer one as the previous one. At every moment a complete checkpoint exists under one of the
/// names.
///
/// # Errors
/// Of kind `File`: both are then unchanged.
pub(super) fn put(folder: &Path, checkpoint: &Checkpoint) -> Result<PathBuf> {
    let path = folder.join(CHECKPOINT);
    let write = || {
        let mut file = file_beside(folder)?;
        checkpoint.write_to(&mut file)?;
        file.as_file().sync_all()?;
        keep_as_previous(folder);
        put_in_place(file, &path)
    };
    write().map_err(|cause| Error::file(&path, "write", nameless(cause)))?;
    Ok(path)
}

/// Gives the newer checkpoint a second name, that of the previous one.
fn keep_as_previous(folder: &Path) {
    let [newer, older, link] = [CHECKPOINT, PREVIOUS, LINK].map(|name| folder.join(name));
    _ = std::fs::remove_file(&link);
    match std::fs::hard_link(&newer, &link) {
        Ok(()) => _ = std::fs::rename(&link, &older),
        // Not every file system supports hard links. Between the two renames, the checkpoint exists only under its new name.
        Err(_) => _ = std::fs::rename(&newer, &older),
    }
    // If both names already refer to the same file, `rename` does nothing.
    _ = std::fs::remove_file(&link);
}

/// Makes the previous checkpoint the newer one, replacing a damaged one, which would otherwise become the previous one next time.
///
/// # Errors
/// Of kind `File`.
pub(super) fn restore_previous(folder: &Path) -> Result<()> {
    let [newer, older] = [CHECKPOINT, PREVIOUS].map(|name| folder.join(name));
    std::fs::rename(&older, &newer).map_err(|cause| Error::file(&newer, "replace", cause))
}
