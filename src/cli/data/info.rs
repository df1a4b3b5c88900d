//! `spiq data info`: what a data set holds.

use std::path::PathBuf;

use clap::Args;
use spiq::Result;

use super::super::screen;

/// Show what a data set holds: samples, classes, lengths, rates
#[derive(Args, Debug)]
pub struct Arguments {
    /// A file or a folder of recordings
    path: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// Those of reading.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut collection = spiq_events::open(&arguments.path)?;
    let events = collection.try_fold(0, |sum, sample| sample.map(|sample| sum + sample.events.len()))?;
    let description = collection.description();
    screen::print(&format!("{}: {} samples, {events} events\n", description.format, description.count))
}
