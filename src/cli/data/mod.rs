//! `spiq data`: recordings of event cameras and cochleas. One file a subcommand.

mod cochlea;
mod info;
mod make;

use clap::{Args, Subcommand};
use spiq::Result;

const EXAMPLES: &str = "\
Examples:
  spiq data cochlea recordings.zip --output spoken.h5
  spiq data make --output made.h5 --samples 500
  spiq data info made.h5";

/// Look at recordings, convert them, make them, fetch them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Cochlea(cochlea::Arguments),
    Info(info::Arguments),
    Make(make::Arguments),
}

/// Runs the command.
///
/// # Errors
/// Those of the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Cochlea(arguments) => cochlea::run(arguments),
        Action::Info(arguments) => info::run(arguments),
        Action::Make(arguments) => make::run(arguments),
    }
}
