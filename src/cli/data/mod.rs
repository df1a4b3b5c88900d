//! `spiq data`: recordings of event cameras and cochleas. One file per subcommand.

mod cochlea;
mod convert;
mod fetch;
mod info;
mod make;
mod show;
mod stop;

use clap::{Args, Subcommand};
use spiq::Result;

const EXAMPLES: &str = "\
Examples:
  spiq data cochlea recordings.zip --output spoken.h5
  spiq data fetch shd
  spiq data make --output made.h5 --samples 500
  spiq data info made.h5 --picture made.svg
  spiq data show made.h5 --sample 3
  spiq data convert made.h5 --output made.safetensors --bins 100 --dt 0.01 --channels 140

Supported formats: HDF5 in the layout of SHD and SSC (.h5), N-MNIST (folders 0 to 9 of .bin), DVS Gesture (.npy, AEDAT 3.1),
AEDAT 4, NumPy's .npy and .npz with (x, y, p, t) or (t, unit); a folder of any of them, with one subfolder per class.
`spiq train --data` reads all of these.";

/// Inspect, convert, generate and download event recordings
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
    Show(show::Arguments),
    Convert(convert::Arguments),
    Make(make::Arguments),
    Fetch(fetch::Arguments),
}

/// Runs the command.
///
/// # Errors
/// Those of the subcommand.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        Action::Cochlea(arguments) => cochlea::run(arguments),
        Action::Info(arguments) => info::run(arguments),
        Action::Show(arguments) => show::run(arguments),
        Action::Convert(arguments) => convert::run(arguments),
        Action::Make(arguments) => make::run(arguments),
        Action::Fetch(arguments) => fetch::run(arguments),
    }
}
