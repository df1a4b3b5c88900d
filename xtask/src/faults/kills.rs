//! Runs that are stopped at random moments, and go on.

use std::process::Child;
use std::time::Duration;

use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use super::Outcome;
use super::command::{checked, ends_within, start};
use super::training::Training;
use crate::project::Result;

/// Signals that ask a command to end, and the exit code of one that was asked.
const ASKED: [(Signal, i32); 3] = [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)];
/// Time in which a command ends that was asked to. Kubernetes waits 30 s, SLURM as long.
const GRACE: Duration = Duration::from_secs(20);

/// Kills runs without a warning.
pub fn killed(training: &Training, count: usize) -> Outcome {
    interrupted(training, count, "killed", |_, mut child| {
        let told = child.kill().and_then(|()| child.wait());
        told.map(drop).map_err(|error| error.to_string())
    })
}

/// Asks runs to end.
pub fn signalled(training: &Training, count: usize) -> Outcome {
    interrupted(training, count, "signalled", |rng, mut child| {
        let (signal, code) = ASKED[rng.usize(0..ASKED.len())];
        kill_process(Pid::from_child(&child), signal).map_err(|error| error.to_string())?;
        if !ends_within(&mut child, GRACE) {
            _ = child.kill();
            return Err(format!("{signal:?} did not end it within {} s", GRACE.as_secs()));
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        // One that was at its end already has ended well.
        checked(&output, &[code, 0]).map(drop)
    })
}

/// Interrupts runs at random moments until as many times as wanted; each goes on until it is interrupted again or ends.
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

/// One run, interrupted again and again, to its end.
fn one_run(
    training: &Training,
    folder: &std::path::Path,
    interrupt: &mut dyn FnMut(&mut Rng, Child) -> Result<()>,
    rng: &mut Rng,
) -> Result<()> {
    loop {
        let mut child = start(&mut training.go_on(folder))?;
        // Long enough that most get further than the one before.
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
