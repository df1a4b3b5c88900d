//! Interrupts runs at random moments and resumes them.

use std::process::Child;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use super::Outcome;
use super::command::{checked, ends_within, start};
use super::training::Training;
use crate::project::Result;

/// Signals that ask a command to stop, and its exit code for each.
const ASKED: [(Signal, i32); 3] = [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)];
/// Time limit for stopping. Kubernetes and SLURM wait 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// Kills runs without warning.
pub fn killed(training: &Training, count: usize) -> Outcome {
    interrupted(training, count, "killed", |_, mut child| {
        let told = child.kill().and_then(|()| child.wait());
        told.map(drop).map_err(|error| error.to_string())
    })
}

/// Asks runs to stop.
pub fn signalled(training: &Training, count: usize) -> Outcome {
    interrupted(training, count, "signalled", |rng, mut child| {
        let (signal, code) = ASKED[rng.usize(0..ASKED.len())];
        kill_process(Pid::from_child(&child), signal).map_err(|error| error.to_string())?;
        if !ends_within(&mut child, GRACE) {
            _ = child.kill();
            return Err(format!("{signal:?} did not end it within {} s", GRACE.as_secs()));
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        // A run that had already finished exits with 0.
        checked(&output, &[code, 0]).map(drop)
    })
}

/// Interrupts runs at random moments until `count` interruptions; each run is resumed until it finishes.
fn interrupted(
    training: &Training,
    count: usize,
    name: &str,
    interrupt: impl Fn(&mut Rng, Child) -> Result<()>,
) -> Outcome {
    let mut rng = Rng::with_seed(15);
    let mut outcome = Outcome::default();
    let folder = training.folder(name);
    while outcome.tried < count {
        _ = std::fs::remove_dir_all(&folder);
        let mut tried = 0;
        let result = one_run(
            training,
            &folder,
            &mut |rng, child| {
                tried += 1;
                interrupt(rng, child)
            },
            &mut rng,
        );
        outcome.tried += tried;
        outcome.lost.extend(result.err().map(|error| format!("after {tried} interruptions: {error}")));
    }
    outcome
}

/// A single run, interrupted repeatedly until it finishes.
fn one_run(
    training: &Training,
    folder: &std::path::Path,
    interrupt: &mut dyn FnMut(&mut Rng, Child) -> Result<()>,
    rng: &mut Rng,
) -> Result<()> {
    loop {
        let mut child = start(&mut training.go_on(folder))?;
        // Long enough that most attempts make progress.
        let moment = training.time.mul_f64(0.2 + 0.9 * rng.f64());
        if !ends_within(&mut child, moment) {
            interrupt(rng, child)?;
            continue;
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        checked(&output, &[0])?;
        return training.check(folder);
    }
}
