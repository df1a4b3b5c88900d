//! Concurrent processes.

use std::fs;
use std::process::Child;

use super::Outcome;
use super::command::{checked, start};
use super::training::Training;
use crate::project::Result;

/// Starts two runs in one folder at the same time: one must be refused, the other must finish as if alone.
pub fn two_runs(training: &Training, count: usize) -> Outcome {
    let mut outcome = Outcome::default();
    for _ in 0..count {
        outcome.add(pair(training));
    }
    outcome
}

/// Attempts before giving up, since two runs may miss each other, one starting after the other has finished.
const MISSES: usize = 5;

fn pair(training: &Training) -> Result<()> {
    for _ in 0..MISSES {
        if met(training)? {
            return training.check(&training.folder("shared"));
        }
    }
    Err("two runs started together never overlapped".to_owned())
}

/// Starts two runs; returns whether one of them was refused.
fn met(training: &Training) -> Result<bool> {
    let folder = training.folder("shared");
    _ = fs::remove_dir_all(&folder);
    let children = [(); 2].map(|()| start(&mut training.begin(&folder)));
    let mut refused = 0;
    for child in children {
        let output = waited(child?)?;
        let printed = checked(&output, &[0, 2])?;
        refused += usize::from(printed.contains("is in use by another run"));
    }
    if refused < 2 { Ok(refused == 1) } else { Err("both runs were refused".to_owned()) }
}

/// Starts ten runs with an empty cache of compiled programs: all must give the same result.
pub fn cold_starts(training: &Training, count: usize) -> Outcome {
    let mut outcome = Outcome::default();
    for _ in 0..count {
        outcome.add(ten(training));
    }
    outcome
}

fn ten(training: &Training) -> Result<()> {
    let cache = training.folder("cold");
    _ = fs::remove_dir_all(&cache);
    let folders = [0; 10].iter().enumerate().map(|(number, _)| training.folder(&format!("cold-{number}")));
    let folders: Vec<_> = folders.collect();
    folders.iter().for_each(|folder| _ = fs::remove_dir_all(folder));
    let children: Vec<_> = folders.iter().map(|folder| start(&mut training.begin_with(folder, &cache))).collect();
    let outputs: Vec<_> = children.into_iter().map(|child| waited(child?)).collect();
    for (folder, output) in folders.iter().zip(outputs) {
        checked(&output?, &[0])?;
        training.check(folder)?;
    }
    Ok(())
}

fn waited(child: Child) -> Result<std::process::Output> {
    child.wait_with_output().map_err(|error| error.to_string())
}
