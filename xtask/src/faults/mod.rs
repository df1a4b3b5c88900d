//! `cargo xtask faults`: injects faults into runs. Kills, signals, full disks, damaged files, concurrent runs, an empty cache; reports
//! the number of attempts of each, and how many lost something.

pub(crate) mod command;
mod damage;
mod disk;
mod kills;
mod together;
mod training;

use std::time::Instant;

use crate::project::{Result, UNKNOWN, build_spiq};
use command::Scratch;
use training::Training;

/// A kind of fault.
struct Fault {
    /// Its name on the command line.
    called: &'static str,
    /// Its row in the table.
    title: &'static str,
    /// How often the short form injects it: two minutes on two cores in all.
    short: usize,
    /// How often the long form injects it.
    long: usize,
    inject: fn(&Training, usize) -> Outcome,
}

const FAULTS: [Fault; 7] = [
    Fault {
        called: "kills",
        title: "killed (-9) at a random moment, then `--resume`",
        short: 8,
        long: 1000,
        inject: kills::killed,
    },
    Fault {
        called: "signals",
        title: "TERM, HUP or INT at a random moment, then `--resume`",
        short: 4,
        long: 150,
        inject: kills::signalled,
    },
    Fault {
        called: "checkpoints",
        title: "a damaged checkpoint, then `--resume`",
        short: 4,
        long: 500,
        inject: damage::checkpoints,
    },
    Fault {
        called: "caches",
        title: "a damaged cache of compiled programs",
        short: 2,
        long: 500,
        inject: damage::caches,
    },
    Fault { called: "disks", title: "a full disk", short: 2, long: 20, inject: disk::full },
    Fault { called: "pairs", title: "two runs in one folder", short: 1, long: 30, inject: together::two_runs },
    Fault {
        called: "starts",
        title: "ten processes on an empty cache",
        short: 1,
        long: 10,
        inject: together::cold_starts,
    },
];

/// Attempts between two lines of progress.
const PROGRESS: usize = 25;

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
    /// Counts an attempt; shows progress now and then.
    fn add(&mut self, result: Result<()>) {
        self.tried += 1;
        self.lost.extend(result.err());
        if self.tried.is_multiple_of(PROGRESS) {
            eprintln!("{} tried, {} lost", self.tried, self.lost.len());
        }
    }

    fn skipped(why: impl Into<String>) -> Outcome {
        Outcome { skipped: Some(why.into()), ..Outcome::default() }
    }
}

/// Injects the faults called `only`, or all, and prints the table.
pub fn run(only: &[&str], long: bool) -> Result<()> {
    let names = FAULTS.map(|fault| fault.called);
    if let Some(other) = only.iter().find(|name| !names.contains(name)) {
        return Err(format!("{UNKNOWN} fault {other}; the faults are {}", names.join(", ")));
    }
    build_spiq()?;
    let scratch = Scratch::new()?;
    let training = Training::whole(&scratch)?;
    println!("| fault | tried | lost | seconds |\n|---|---|---|---|");
    let wanted = FAULTS.iter().filter(|fault| only.is_empty() || only.contains(&fault.called));
    let lost: usize = wanted.map(|fault| fault.told(&training, long).lost.len()).sum();
    if lost == 0 { Ok(()) } else { Err(format!("{lost} attempts lost something")) }
}

impl Fault {
    /// Injects the fault, and prints its row and its failures.
    fn told(&self, training: &Training, long: bool) -> Outcome {
        let start = Instant::now();
        let outcome = (self.inject)(training, if long { self.long } else { self.short });
        let seconds = start.elapsed().as_secs_f64();
        match &outcome.skipped {
            Some(why) => println!("| {} | SKIPPED: {why} | | |", self.title),
            None => println!("| {} | {} | {} | {seconds:.0} |", self.title, outcome.tried, outcome.lost.len()),
        }
        outcome.lost.iter().for_each(|lost| eprintln!("{}: {lost}", self.title));
        outcome
    }
}
