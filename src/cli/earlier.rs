//! Finds results of earlier commands in a folder, and protects or removes them before a new run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use spiq::pjrt::Client;
use spiq::provenance::{Difference, key};
use spiq::train::{self, LOCK, Options, RUN_FILES, has_checkpoint};
use spiq::{Error, Result};
use spiq_events::remove_leftovers;

use super::train::{Arguments, to_go_on};

/// The files that list the runs of a command, one per line.
pub const LISTS: [&str; 2] = ["runs.jsonl", "sweep.jsonl"];

/// The folders of the runs listed in `folder`, at their present location.
pub fn listed(folder: &Path) -> Vec<PathBuf> {
    let lists = LISTS.iter().filter_map(|name| spiq_events::read_text(&folder.join(name)).ok());
    let named = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(folder.join(Path::new(line["folder"].as_str()?).file_name()?))
    };
    lists.flat_map(|text| text.lines().filter_map(named).collect::<Vec<_>>()).collect()
}

/// Whether a folder contains a run.
fn is_run(folder: &Path) -> bool {
    folder.join("metrics.jsonl").is_file() || has_checkpoint(folder)
}

/// Results of earlier commands in `out` that would be mistaken for those of the new runs in `folders`, and must be removed first.
///
/// # Errors
/// Of kind `Input` if it is not certain that a command created them.
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
        // Remove temporary files of killed runs.
        remove_leftovers(&folder);
        if !listed.contains(&folder) || !holds_only_a_run(&folder) {
            return Err(Error::input(format!(
                "{} is from an earlier command, and would be mistaken for a run of this one; move it elsewhere, or give another --out",
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

/// Removes [stale] results.
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

/// Refuses to overwrite files that the run reads or that no run created.
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
            "{} belongs to no run, and a run would replace or remove it; give another folder with --out",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Refuses to replace results that the new run does not repeat: those of a run with other settings, or of an unfinished one.
///
/// # Errors
/// Of kind `Input`, with the flags that solve it; for inconsistent options, what is wrong with them.
pub fn check_overwrite(client: &Client, options: &Options, overwrite: bool) -> Result<()> {
    let out = &options.out;
    if options.resume || overwrite || !has_results(out) {
        return Ok(());
    }
    // What is wrong with the options concerns the user more than the folder.
    train::check_options(options)?;
    let differences = train::differences_from_checkpoint(client, options);
    let resume = match out.join(SUMMARY).is_file() || !has_checkpoint(out) {
        true => String::new(),
        false => format!("continue it with `{}`, ", to_go_on(out)),
    };
    // A run that was resumed with changes does not have the results of its present settings.
    let is_changed = train::checkpoint_in(out).is_ok_and(|checkpoint| checkpoint.metadata.contains_key(key::changes));
    Err(Error::input(match differences {
        Ok(differences) if differences.is_empty() && !is_changed && out.join(SUMMARY).is_file() => return Ok(()),
        Ok(differences) if differences.is_empty() && !is_changed => format!(
            "{} holds an unfinished run with the same settings; {resume}replace it with --overwrite, or give another folder with \
             --out",
            out.display()
        ),
        differences => format!(
            "{} holds {}; replace it with --overwrite, {resume}or give another folder with --out",
            out.display(),
            named(&differences.unwrap_or_default())
        ),
    }))
}

/// The file that a finished run leaves.
const SUMMARY: &str = "summary.json";

/// Whether a folder contains results of training: a checkpoint, or parameters of an end. A best epoch alone is that of a run that was killed
/// before its first checkpoint, which cannot be continued.
fn has_results(folder: &Path) -> bool {
    has_checkpoint(folder) || folder.join("params.safetensors").is_file()
}

/// A run by its first differences.
fn named(differences: &[Difference]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = differences.iter().take(SHOWN).map(ToString::to_string).collect();
    match differences.len() {
        0 => "another run".to_owned(),
        count if count > SHOWN => format!("a run with {} and {} more differences", shown.join(", "), count - SHOWN),
        _ => format!("a run with {}", shown.join(" and ")),
    }
}

/// Refuses to remove the runs of an earlier command, unless `overwrite`. The lists of runs are written anew in any case.
///
/// # Errors
/// Of kind `Input`, with their names.
pub fn check_stale(out: &Path, stale: &[PathBuf], overwrite: bool) -> Result<()> {
    let is_list = |path: &PathBuf| LISTS.iter().any(|name| path.file_name().is_some_and(|file| file == *name));
    let runs: Vec<String> = stale
        .iter()
        .filter(|path| !is_list(path))
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    match overwrite || runs.is_empty() {
        true => Ok(()),
        false => Err(Error::input(format!(
            "{} holds results of an earlier command that these runs would replace ({}); replace them with --overwrite, or give \
             another folder with --out",
            out.display(),
            runs.join(", ")
        ))),
    }
}

/// Refuses to overwrite or remove files that the run reads.
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
