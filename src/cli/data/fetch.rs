//! `spiq data fetch`: downloads published data sets.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use spiq::{Error, Result};
use spiq_events::{KNOWN, Known};

use super::super::progress::Fetching;
use super::super::screen;

const EXAMPLES: &str = "\
Examples:
  spiq data fetch shd               then: spiq train --data shd --bins 100 --channels 140
  spiq data fetch nmnist --folder ~/data/nmnist
  spiq data fetch ssc --url https://mirror.example.org/ssc

An interrupted download continues where it stopped. It uses the machine's curl, with its proxies and certificates.";

/// Download a published data set, verify and unpack it
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Data set
    #[arg(value_parser = names())]
    name: String,
    /// Destination folder [default: a folder of that name in the current folder]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Download the same archives from this folder's address instead of the authors' site
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(KNOWN.iter().map(|known| PossibleValue::new(known.name).help(known.title)))
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` when the download fails or a checksum does not match; of kind `File` when it cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let name = &arguments.name;
    let known = Known::named(name).ok_or_else(|| Error::input(format!("there is no data set {name}")))?;
    let folder = arguments.folder.clone().unwrap_or_else(|| known.name.into());
    let mut shown = Fetching::default();
    spiq_events::fetch(known, &folder, arguments.url.as_deref(), &mut |progress| shown.update(progress))?;
    drop(shown);
    let place = folder.display();
    screen::print(&format!("{name} is in {place}; to inspect it: spiq data info {place}\n"))
}
