//! Damaged files.

use std::fs;
use std::path::Path;

use fastrand::Rng;

use super::Outcome;
use super::command::{checked, ended, ends_within, start};
use super::training::{Training, has_checkpoint};
use crate::project::Result;

/// Damages the checkpoint of a killed run, which must resume from the previous one, or report that both are damaged.
pub fn checkpoints(training: &Training, count: usize) -> Outcome {
    let mut rng = Rng::with_seed(16);
    let mut outcome = Outcome::default();
    let half = training.folder("half");
    if let Err(error) = stopped_half_way(training, &half) {
        outcome.add(Err(error));
        return outcome;
    }
    for _ in 0..count {
        let folder = training.folder("damaged");
        let result = copied(&half, &folder).and_then(|()| damaged_checkpoint(training, &folder, &mut rng));
        outcome.add(result);
    }
    outcome
}

/// A run that was killed after its second checkpoint.
fn stopped_half_way(training: &Training, folder: &Path) -> Result<()> {
    for share in [0.6, 0.7, 0.8] {
        _ = fs::remove_dir_all(folder);
        let mut child = start(&mut training.begin(folder))?;
        let ended = ends_within(&mut child, training.time.mul_f64(share));
        _ = child.kill();
        _ = child.wait();
        if !ended && has_checkpoint(folder) && folder.join("checkpoint-previous.safetensors").exists() {
            return Ok(());
        }
    }
    Err("no run had two checkpoints before it ended".to_owned())
}

fn damaged_checkpoint(training: &Training, folder: &Path, rng: &mut Rng) -> Result<()> {
    let both = rng.u8(0..10) == 0;
    damage(&folder.join("checkpoint.safetensors"), rng)?;
    if both {
        damage(&folder.join("checkpoint-previous.safetensors"), rng)?;
    }
    let output = training.go_on(folder).output().map_err(|error| error.to_string())?;
    let printed = checked(&output, if both { &[2] } else { &[0] })?;
    match (both, printed.contains("resuming from the previous checkpoint")) {
        (true, _) => Ok(()),
        (false, true) => training.check(folder),
        (false, false) => Err("the damage was not noticed".to_owned()),
    }
}

/// Damages an entry of the cache of compiled programs. The training must be unaffected.
pub fn caches(training: &Training, count: usize) -> Outcome {
    let mut rng = Rng::with_seed(17);
    let mut outcome = Outcome::default();
    for _ in 0..count {
        outcome.add(damaged_cache(training, &mut rng));
    }
    outcome
}

fn damaged_cache(training: &Training, rng: &mut Rng) -> Result<()> {
    let cache = training.folder("damaged-cache");
    let executables = cache.join("executables");
    copied(&training.cache.join("executables"), &executables)?;
    let entries = fs::read_dir(&executables).map_err(|error| error.to_string())?.flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    let file = rng.choice(&files).ok_or("the cache of compiled programs is empty")?;
    damage(file, rng)?;
    let folder = training.folder("cached");
    _ = fs::remove_dir_all(&folder);
    ended(&mut training.begin_with(&folder, &cache), 0)?;
    training.check(&folder)
}

/// Flips a bit, inverts a stretch, or truncates a file.
fn damage(path: &Path, rng: &mut Rng) -> Result<()> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = fs::read(path).map_err(told)?;
    let at = rng.usize(0..bytes.len());
    match rng.u8(0..3) {
        0 => bytes[at] ^= 1 << rng.u8(0..8),
        1 => bytes.truncate(at),
        _ => bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = !*byte),
    }
    fs::write(path, bytes).map_err(told)
}

/// Copies the files of a folder.
fn copied(from: &Path, to: &Path) -> Result<()> {
    let told = |error: std::io::Error| format!("{}: {error}", from.display());
    _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).map_err(told)?;
    for entry in fs::read_dir(from).map_err(told)?.flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(told)?;
        }
    }
    Ok(())
}
