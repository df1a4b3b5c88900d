//! `cargo xtask faults`: injects faults into runs. Kills, signals, full disks, damaged files, concurrent runs, an empty cache; reports
//! the number of attempts of each, and how many lost something.

pub(crate) mod command;
mod damage;
mod disk;
mod kills;
mod together;
mod training;

use std::time::Instant;

use crate::project::{Result, build_spiq};
use command::Scratch;
use training::Training;

/// How often each fault is injected.
#[derive(Clone, Copy)]
struct Counts {
    kills: usize,
    signals: usize,
    checkpoints: usize,
    caches: usize,
    disks: usize,
    pairs: usize,
    starts: usize,
}

/// Two minutes on two cores.
const SHORT: Counts = Counts { kills: 8, signals: 4, checkpoints: 4, caches: 2, disks: 2, pairs: 1, starts: 1 };
/// The long form.
const LONG: Counts =
    Counts { kills: 1000, signals: 150, checkpoints: 500, caches: 500, disks: 20, pairs: 30, starts: 10 };

/// The results of injecting a fault.
#[derive(Default)]
struct Outcome {
    tried: usize,
    /// The failures, one sentence each.
    lost: Vec<String>,
    /// Why the fault was not injected.
    skipped: Option<String>,
}

impl Outcome {
    /// Counts an attempt.
    fn add(&mut self, result: Result<()>) {
        self.tried += 1;
        self.lost.extend(result.err());
    }

    fn skipped(why: impl Into<String>) -> Outcome {
        Outcome { skipped: Some(why.into()), ..Outcome::default() }
    }
}

/// Injects every fault and prints the table.
pub fn run(long: bool) -> Result<()> {
    build_spiq()?;
    let counts = if long { LONG } else { SHORT };
    let scratch = Scratch::new()?;
    let training = Training::whole(&scratch)?;
    println!("| fault | tried | lost | seconds |\n|---|---|---|---|");
    let faults: [(&str, &dyn Fn() -> Outcome); 7] = [
        ("killed (-9) at a random moment, then `--resume`", &|| kills::killed(&training, counts.kills)),
        ("TERM, HUP or INT at a random moment, then `--resume`", &|| kills::signalled(&training, counts.signals)),
        ("a damaged checkpoint, then `--resume`", &|| damage::checkpoints(&training, counts.checkpoints)),
        ("a damaged cache of compiled programs", &|| damage::caches(&training, counts.caches)),
        ("a full disk", &|| disk::full(&training, counts.disks)),
        ("two runs in one folder", &|| together::two_runs(&training, counts.pairs)),
        ("ten processes on an empty cache", &|| together::cold_starts(&training, counts.starts)),
    ];
    let outcomes = faults.map(|(name, fault)| told(name, fault));
    let lost: usize = outcomes.iter().map(|outcome| outcome.lost.len()).sum();
    if lost == 0 { Ok(()) } else { Err(format!("{lost} attempts lost something")) }
}

/// Injects a fault, and prints its row and its failures.
fn told(name: &str, fault: &dyn Fn() -> Outcome) -> Outcome {
    let start = Instant::now();
    let outcome = fault();
    let seconds = start.elapsed().as_secs_f64();
    match &outcome.skipped {
        Some(why) => println!("| {name} | SKIPPED: {why} | | |"),
        None => println!("| {name} | {} | {} | {seconds:.0} |", outcome.tried, outcome.lost.len()),
    }
    outcome.lost.iter().for_each(|lost| eprintln!("{name}: {lost}"));
    outcome
}
