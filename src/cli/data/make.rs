//! `spiq data make`: generates a synthetic data set in the layout of SHD.

use std::path::PathBuf;

use clap::Args;
use spiq::{Error, Result};
use spiq_events::MadeUp;

use super::super::{output, screen};
use super::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  spiq data make --output made.h5 --samples 500

The size of SHD's files (0.3 GB) and SSC's (3.4 GB), in existing folders; `spiq train --data shd` reads a whole folder:
  spiq data make --output shd/shd_train.h5 --samples 8156 --events 8000
  spiq data make --output shd/shd_test.h5 --first 8156 --samples 2264 --events 8000
  spiq data make --output ssc/ssc_train.h5 --samples 75466 --events 8000 --classes 35
  spiq data make --output ssc/ssc_valid.h5 --first 75466 --samples 9981 --events 8000 --classes 35
  spiq data make --output ssc/ssc_test.h5 --first 85447 --samples 20382 --events 8000 --classes 35";

/// Generate a synthetic data set in the layout of the Spiking Heidelberg Digits
///
/// Each class has characteristic rising and falling tones; spikes cluster around them, with background noise. A network can learn it. The
/// same seed gives the same file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// HDF5 file to write
    #[arg(long, short, value_name = "F.h5")]
    output: PathBuf,
    /// Number of samples, up to 1,000,000
    #[arg(long, default_value_t = 500, value_name = "N")]
    samples: usize,
    /// Mean number of spikes per sample, up to 1,000,000
    #[arg(long, default_value_t = 1000, value_name = "N")]
    events: usize,
    /// Number of classes
    #[arg(long, default_value_t = 20, value_name = "N")]
    classes: u16,
    /// Number of channels
    #[arg(long, default_value_t = 700, value_name = "N")]
    channels: u16,
    /// Number of leading samples used for training [default: four fifths]
    #[arg(long, value_name = "N")]
    train: Option<usize>,
    /// Index of the first sample: files with the same seed and other indices hold different samples of the same classes
    #[arg(long, default_value_t = 0, value_name = "N")]
    first: usize,
    /// Random seed
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

/// Runs the command.
///
/// # Errors
/// Of kind `Input` for sizes that do not make a data set, of kind `File` when it cannot be written, of kind `Interrupted` after Ctrl-C.
pub fn run(arguments: &Arguments) -> Result<()> {
    let samples = arguments.samples;
    let train = arguments.train.unwrap_or(samples - samples.div_ceil(5));
    if train > samples {
        return Err(Error::input(format!("--train {train} is more than the {samples} samples")));
    }
    let made = MadeUp {
        samples,
        events: arguments.events,
        classes: arguments.classes,
        channels: arguments.channels,
        train,
        first: arguments.first,
        seed: arguments.seed,
    };
    // Before the check, which writes a temporary file too.
    let stop = Stop::at_signals();
    output::check(&arguments.output, [])?;
    stop.outcome(made.write_while(&arguments.output, || stop.check()))?;
    screen::print(&format!("wrote {samples} samples to {}\n", arguments.output.display()))
}
