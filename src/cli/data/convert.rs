//! `spiq data convert`: converts recordings into one file of frames.

use std::path::PathBuf;

use clap::Args;
use spiq::data::{Reading, holds_arrays};
use spiq::provenance::Provenance;
use spiq::{Error, Result};

use super::super::recordings::{self, Recordings, TestSamples};
use super::super::{output, screen};
use super::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  spiq data convert shd --output shd.safetensors --bins 100 --dt 0.01 --channels 140
  spiq data convert nmnist --output nmnist.safetensors --bins 10 --transform 'Denoise(filter_time = 10000)'
  spiq train --data shd.safetensors";

/// Bin recordings into frames and write them as one file for `spiq train --data`
///
/// The file holds `inputs` (u8 [samples, bins, …]), `labels`, `speakers` where known, and a record of the conversion. Training on it gives
/// the same result as training on the recordings with the same flags, without the time to read them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// File or folder of recordings
    path: PathBuf,
    /// File to write
    #[arg(long, short, value_name = "F.safetensors")]
    output: PathBuf,
    #[command(flatten)]
    recordings: Recordings,
    #[command(flatten)]
    test: TestSamples,
}

/// Runs the command.
///
/// # Errors
/// Those of reading; of kind `Input` for a file that already holds frames; of kind `File` when the output cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let path = &arguments.path;
    if holds_arrays(path) && path.exists() {
        return Err(Error::input(format!("{} already holds arrays; there is nothing to convert", path.display())));
    }
    output::check(&arguments.output, [Some(path.as_path()), arguments.test.file()].into_iter().flatten())?;
    let said = arguments.recordings.provenance().or(arguments.test.provenance());
    let mut read = recordings::file(path, &said.reading()?)?;
    let reading = Reading { binning: read.binning.take().unwrap_or_default(), ..said.reading()? };
    Provenance::of_reading(Some(&reading)).write(&mut read.file.metadata);
    // A signal takes effect after the file is written, so that no partial file remains.
    let _stop = Stop::at_signals();
    read.file.write(&arguments.output)?;
    read.note.iter().for_each(|note| screen::note(note));
    let inputs = read.file.arrays.get("inputs").map_or_else(String::new, |array| array.ty().to_string());
    screen::print(&format!("wrote {inputs} to {}\n", arguments.output.display()))
}
