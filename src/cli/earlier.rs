//! What earlier commands left in a folder that is to hold new results. Knows nothing of what is trained.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use spiq::train::{LOCK, RUN_FILES, has_checkpoint};
use spiq::{Error, Result};
use spiq_events::remove_leftovers;

use super::train::Arguments;

/// The files that list the runs of a command, one a line.
pub const LISTS: [&str; 2] = ["runs.jsonl", "sweep.jsonl"];

/// The folders of the runs that the lists in a folder name, as they lie there now.
pub fn listed(folder: &Path) -> Vec<PathBuf> {
    let lists = LISTS.iter().filter_map(|name| spiq_events::read_text(&folder.join(name)).ok());
    let named = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(folder.join(Path::new(line["folder"].as_str()?).file_name()?))
    };
    lists.flat_map(|text| text.lines().filter_map(named).collect::<Vec<_>>()).collect()
}

/// Whether a folder holds a run.
fn is_run(folder: &Path) -> bool {
    folder.join("metrics.jsonl").is_file() || has_checkpoint(folder)
}

/// What has to go before several runs leave their results in `out`, each in one of `folders`: results of earlier commands, which would
/// be taken for theirs.
///
/// # Errors
/// Of kind `Input` where that is not certain to be a command's own.
pub fn stale(out: &Path, folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(Vec::new()) };
    let listed = listed(out);
    let mut stale = Vec::new();
    if is_run(out) {
        stale.extend(RUN_FILES.iter().map(|name| out.join(name)).filter(|path| path.is_file()));
    }
    stale.extend(LISTS.iter().map(|name| out.join(name)).filter(|path| path.is_file()));
    for folder in entries.flatten().map(|entry| entry.path()) {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let ours = ["seed-", "fold-", "run-"].iter().any(|start| name.starts_with(start));
        if !ours || folders.contains(&folder) || !is_run(&folder) {
            continue;
        }
        // What a killed run left half-written is nobody's.
        remove_leftovers(&folder);
        if !listed.contains(&folder) || !holds_only_a_run(&folder) {
            return Err(Error::input(format!(
                "{} is there from earlier, and would be taken for a run of this command; move it elsewhere, or give another --out",
                folder.display()
            )));
        }
        stale.push(folder);
    }
    Ok(stale)
}

fn holds_only_a_run(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_own = |name: &OsStr| RUN_FILES.iter().chain([&LOCK]).any(|own| name == *own);
    entries.into_iter().all(|entry| is_own(&entry.file_name()) && entry.path().is_file())
}

/// Takes away what is [stale].
///
/// # Errors
/// Of kind `File`.
pub fn remove(stale: &[PathBuf]) -> Result<()> {
    for path in stale {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        removed.map_err(|cause| Error::file(path, "remove", cause))?;
    }
    Ok(())
}

/// Refuses to write over files that a run reads, or that no run left.
///
/// # Errors
/// Of kind `Input`, with the file's name.
pub fn check_folder(out: &Path, arguments: &Arguments) -> Result<()> {
    if arguments.resume {
        return Ok(());
    }
    check_inputs(&RUN_FILES.map(|name| out.join(name)), arguments)?;
    let own = ["model.toml", "rules.toml"].map(|name| out.join(name)).into_iter().find(|path| path.is_file());
    match own.filter(|_| !is_run(out)) {
        Some(path) => Err(Error::input(format!(
            "{} is of no run, and a run would replace or remove it; give another folder with --out",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Refuses to write over, or to remove, what a run is told to read.
///
/// # Errors
/// Of kind `Input`, with the file's name.
pub fn check_inputs(written: &[PathBuf], arguments: &Arguments) -> Result<()> {
    let real = |path: &Path| path.canonicalize().ok();
    let written: Vec<PathBuf> = written.iter().filter_map(|path| real(path)).collect();
    for (flag, input) in arguments.inputs() {
        let Some(input_there) = real(&input) else { continue };
        if written.iter().any(|path| input_there.starts_with(path)) {
            return Err(Error::input(format!(
                "{flag} is {}, which the run would replace or remove; give another folder with --out",
                input.display()
            )));
        }
    }
    Ok(())
}
