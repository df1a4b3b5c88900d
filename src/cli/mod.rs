//! The command line: one file per subcommand, and error reporting. The only folder that prints; the library does all computation.

mod argument;
mod bench;
mod choice;
mod client;
mod completions;
mod data;
mod doctor;
mod earlier;
mod evaluate;
mod failure;
mod help;
mod inspect;
mod learning;
mod libraries;
mod output;
mod page;
mod plan;
mod plugin;
mod predict;
mod probe;
mod processes;
mod profile;
mod progress;
mod quantize;
mod rates;
mod recipe;
mod recordings;
mod report;
mod reproduce;
mod screen;
mod several;
mod shell;
mod signals;
mod step;
mod sweep;
mod train;
mod trained;

use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use choice::MatmulPrecision;

const EXAMPLES: &str = "\
Examples:
  spiq train                         train on the built-in digits, with int8 weights and activations
  spiq doctor                        show what this machine has, and what is missing
  spiq inspect --model model.toml --rules rules.toml --report
  spiq help model                    show the keys of model.toml; likewise help rules, help data

Exit codes: 0 success · 1 an error in the plugin, a value in training that is not finite, or another process that was lost · 2 an unusable input, file or plugin · 130, 143, 129 stopped by Ctrl-C, SIGTERM, SIGHUP";

/// Quantization-aware training of spiking neural networks, compiled by XLA.
#[derive(Debug, Parser)]
#[command(name = "spiq", version, arg_required_else_help = true, disable_help_subcommand = true, after_help = EXAMPLES)]
struct Cli {
    /// Print no progress, only results, notes and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Precision of products of f32, as in JAX: by default NVIDIA cards compute them in tf32, TPUs in bf16 and CPUs in f32
    #[arg(long, global = true, value_enum, default_value = "default")]
    matmul_precision: MatmulPrecision,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // Boxed because they are much larger than the others.
    Train(Box<train::Arguments>),
    Sweep(Box<sweep::Arguments>),
    Evaluate(evaluate::Arguments),
    Report(report::Arguments),
    Predict(predict::Arguments),
    Quantize(quantize::Arguments),
    Inspect(inspect::Arguments),
    Bench(bench::Arguments),
    Doctor(doctor::Arguments),
    Plugin(plugin::Arguments),
    Data(data::Arguments),
    Completions(completions::Arguments),
    Help(help::Arguments),
}

/// Runs the command given on the command line.
pub fn main() -> ExitCode {
    let parsed = negative_numbers(Cli::command()).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return failure::of_usage(&error),
    };
    if cli.quiet {
        screen::be_quiet();
    }
    client::use_precision(cli.matmul_precision);
    let outcome = match &cli.command {
        Command::Train(arguments) => train::run(arguments),
        Command::Sweep(arguments) => sweep::run(arguments),
        Command::Evaluate(arguments) => evaluate::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Quantize(arguments) => quantize::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Plugin(arguments) => plugin::run(arguments),
        Command::Data(arguments) => data::run(arguments),
        Command::Completions(arguments) => completions::run(arguments, Cli::command()),
        Command::Help(arguments) => help::run(arguments, negative_numbers(Cli::command())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::of_run(&error),
    }
}

/// Every flag with a value takes one that begins with a minus, so that its own check refuses -1, with what it must be.
fn negative_numbers(command: clap::Command) -> clap::Command {
    let of_flags = |arg: Arg| match arg.get_long().is_some() && arg.get_action().takes_values() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    command.mut_args(of_flags).mut_subcommands(negative_numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        negative_numbers(Cli::command()).debug_assert();
    }
}
