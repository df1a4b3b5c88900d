//! The long form: runs inputs against each target and prints a table.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use spiq_fuzz::{Campaign, Outcome, TARGETS, Target, targets};

/// Fuzz everything that reads untrusted input
#[derive(Parser)]
struct Arguments {
    /// Targets to run [default: all]
    #[arg(value_parser = known)]
    targets: Vec<String>,
    /// Seconds per target
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seed of the inputs
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn known(name: &str) -> Result<String, String> {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    targets::named(name)
        .map(|target| target.name.to_owned())
        .ok_or_else(|| format!("the targets are {}", names.join(", ")))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let campaign = Campaign { time: Duration::from_secs(arguments.seconds), seed: arguments.seed };
    let wanted =
        |target: &&Target| arguments.targets.is_empty() || arguments.targets.iter().any(|name| name == target.name);
    println!("| target | inputs | accepted | slowest, ms | memory, MB | failures |\n|---|---|---|---|---|---|");
    let outcomes: Vec<Outcome> =
        TARGETS.iter().filter(wanted).map(|target| told(target, campaign.run(target))).collect();
    let tried: u64 = outcomes.iter().map(|outcome| outcome.tried).sum();
    let failures: usize = outcomes.iter().map(|outcome| outcome.failures.len()).sum();
    println!("\n{tried} inputs, {failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a target's row and its failures.
fn told(target: &Target, outcome: Outcome) -> Outcome {
    let (milliseconds, megabytes) = (1e3 * outcome.slowest.as_secs_f64(), outcome.memory as f64 / 1e6);
    let (name, failures) = (target.name, outcome.failures.len());
    println!("| {name} | {} | {} | {milliseconds:.1} | {megabytes:.1} | {failures} |", outcome.tried, outcome.taken);
    for failure in &outcome.failures {
        eprintln!("{name}: {}: {}", failure.why, failure.input.display());
    }
    outcome
}
