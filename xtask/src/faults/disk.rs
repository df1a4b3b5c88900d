//! Full disks: small in-memory file systems, if mounting is permitted.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Outcome;
use super::command::checked;
use super::training::{Training, has_checkpoint};
use crate::project::Result;

/// Trains on disks of several sizes, most of which are too small. The files left on each must be intact, and the run, continued
/// elsewhere, must end exactly like an uninterrupted one.
pub fn full(training: &Training, count: usize) -> Outcome {
    let disk = training.folder("disk");
    if let Err(why) = mounted(&disk, 100).and_then(|()| unmounted(&disk)) {
        return Outcome::skipped(format!("no small disk can be mounted here ({why})"));
    }
    let mut outcome = Outcome::default();
    for number in 0..count {
        // From nothing to more than a whole run needs.
        let kilobytes = 8 + 400 * number / count;
        outcome.add(on_disk(training, &disk, kilobytes));
    }
    outcome
}

fn on_disk(training: &Training, disk: &Path, kilobytes: usize) -> Result<()> {
    mounted(disk, kilobytes)?;
    let result = trained(training, &disk.join("run"));
    let moved = result.and_then(|()| goes_on(training, &disk.join("run")));
    unmounted(disk)?;
    moved.map_err(|error| format!("{kilobytes} kB: {error}"))
}

/// Must succeed, or fail with an error message.
fn trained(training: &Training, folder: &Path) -> Result<()> {
    let output = training.begin(folder).output().map_err(|error| error.to_string())?;
    checked(&output, &[0, 1, 2]).map(drop)
}

/// Copies the run to a disk with enough space and resumes it.
fn goes_on(training: &Training, folder: &Path) -> Result<()> {
    if !has_checkpoint(folder) {
        return Ok(());
    }
    let elsewhere = training.folder("elsewhere");
    _ = fs::remove_dir_all(&elsewhere);
    fs::create_dir_all(&elsewhere).map_err(|error| error.to_string())?;
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())?.flatten() {
        fs::copy(entry.path(), elsewhere.join(entry.file_name())).map_err(|error| error.to_string())?;
    }
    let output = training.go_on(&elsewhere).output().map_err(|error| error.to_string())?;
    checked(&output, &[0])?;
    training.check(&elsewhere)
}

fn mounted(disk: &Path, kilobytes: usize) -> Result<()> {
    fs::create_dir_all(disk).map_err(|error| error.to_string())?;
    let size = format!("size={kilobytes}k");
    quietly(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(disk))
}

fn unmounted(disk: &Path) -> Result<()> {
    quietly(Command::new("umount").arg(disk))
}

fn quietly(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
