//! `spiq data cochlea`: converts sound recordings into the spikes of an artificial cochlea.

use std::path::{Path, PathBuf};

use clap::Args;
use spiq::Result;
use spiq_events::sound::{Cochlea, Recordings, SpikeTrains};
use spiq_events::{Collection, Names, Sample, Spikes, write_spikes};

use super::super::output::check;
use super::super::progress::Samples;
use super::super::{argument, screen};
use super::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  spiq data cochlea recordings.zip --output spoken.h5
  spiq train --data spoken.h5 --bins 64 --channels 140 --model model.toml
  spiq data cochlea words/ --output words.h5 --channels 140 --high 7600      for sound of 16 kHz

The label of a recording is its file name up to the first `_`. If all names are `{label}_{speaker}_{index}.wav`, as in the
Free Spoken Digit Dataset, speakers are kept, and indices 0 to 4 are the test part, as in that data set's own split.

The pipeline is that of the Heidelberg data sets (Cramer et al. 2020): loudness normalization, basilar membrane, hair cells, bushy
cells. Input is WAV at any sampling rate, with 8 to 32 bits or floats; several channels are averaged.";

/// Convert sound recordings into spikes
///
/// The file has the layout of the Spiking Heidelberg Digits: `spikes/times` in seconds, `spikes/units`, `labels`, `extra/keys` (the label
/// names), `extra/speaker`, and the attribute `train`: the number of leading samples used for training.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Folder or zip archive of WAV files
    #[arg(value_name = "DIR | FILE.zip")]
    recordings: PathBuf,
    /// HDF5 file to write
    #[arg(long, short, value_name = "F.h5")]
    output: PathBuf,
    /// Number of channels, up to 700
    #[arg(long, value_name = "N", default_value_t = Cochlea::default().channels)]
    channels: u16,
    /// Frequency of the first channel, in Hz
    #[arg(long, value_name = "HZ", default_value_t = Cochlea::default().low, value_parser = argument::positive)]
    low: f64,
    /// Frequency of the last channel, in Hz; must be below half the sampling rate
    #[arg(long, value_name = "HZ", default_value_t = Cochlea::default().high, value_parser = argument::positive)]
    high: f64,
}

/// Runs the command.
///
/// # Errors
/// Of kind `File` or `Input` for unreadable or unusable recordings, or a file that cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { recordings, output, channels, low, high } = arguments;
    let cochlea = Cochlea { channels: *channels, low: *low, high: *high };
    let mut trains = Recordings::open(recordings)?.spikes(cochlea)?;
    check(output, [recordings.as_path()])?;
    let description = trains.description().clone();
    let names = Names {
        channels: *channels,
        classes: description.classes.clone(),
        speakers: description.speakers.clone(),
        train: description.train,
    };
    let spikes = write(&mut trains, output, &names)?;
    let split = description.train.map(|train| format!("; the first {train} train, the others test"));
    screen::print(&format!(
        "wrote {} recordings, {spikes} spikes in {channels} channels, to {}{}\n",
        description.count,
        output.display(),
        split.unwrap_or_default()
    ))
}

/// Writes the spikes and returns their number.
fn write(trains: &mut SpikeTrains, output: &Path, names: &Names) -> Result<usize> {
    let stop = Stop::at_signals();
    let (count, mut progress, mut spikes) = (trains.description().count, Samples::default(), 0);
    let counted = (1..).zip(trains).map(|(done, sample)| {
        stop.check()?;
        progress.update(done, count);
        let sample = columns(&sample?);
        spikes += sample.times.len();
        Ok(sample)
    });
    stop.outcome(write_spikes(output, names, counted))?;
    Ok(spikes)
}

fn columns(sample: &Sample) -> Spikes {
    let number = |number: Option<u32>| number.and_then(|number| u16::try_from(number).ok()).unwrap_or_default();
    Spikes {
        times: sample.events.t.iter().map(|microseconds| *microseconds as f32 * 1e-6).collect(),
        units: sample.events.x.clone(),
        label: number(sample.label),
        speaker: number(sample.speaker),
    }
}
