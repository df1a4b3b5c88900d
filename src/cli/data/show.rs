//! `spiq data show`: draws one recording.

use std::path::PathBuf;

use clap::Args;
use spiq::data::{Pipeline, replace_file};
use spiq::{Error, Result, display};

use super::super::{output, screen};
use super::info;

const EXAMPLES: &str = "\
Examples:
  spiq data show shd_train.h5 --sample 3
  spiq data show nmnist --sample 500 --transform 'Denoise(filter_time = 10000)' --picture denoised.svg";

/// Draw one recording: a raster of channels over time, or a strip of frames for a camera
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// File or folder of recordings
    path: PathBuf,
    /// Sample number, from 0
    #[arg(long, default_value_t = 0, value_name = "N")]
    sample: usize,
    /// Event transforms to apply before drawing, under tonic's names
    #[arg(long, value_name = "TRANSFORMS")]
    transform: Option<String>,
    /// Picture to write [default: sample-N.svg]
    #[arg(long, value_name = "F.svg")]
    picture: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Those of reading; of kind `Input` if there is no such sample; of kind `File` when the picture cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let number = arguments.sample;
    let pipeline = Pipeline::parse(arguments.transform.as_deref().unwrap_or_default())?;
    let mut collection = spiq_events::open(&arguments.path)?;
    let description = collection.description().clone();
    let count = description.count;
    let none = || Error::input(format!("{} has no sample {number}: it has {count}, from 0", arguments.path.display()));
    let mut sample = if number < count { collection.nth(number).ok_or_else(none)?? } else { return Err(none()) };
    let sensor = pipeline.sensor(description.sensor)?;
    pipeline.apply(&mut sample.events, description.sensor, 0, number as u64);
    let named = |number: Option<u32>, names: &[String], what: &str| {
        let number = number?;
        Some(names.get(number as usize).map_or_else(|| format!("{what} {number}"), String::clone))
    };
    let names =
        [named(sample.label, &description.classes, "class"), named(sample.speaker, &description.speakers, "speaker")];
    let names: String = names.into_iter().flatten().map(|name| format!(", {name}")).collect();
    let seconds = sample.events.t.last().map_or(0.0, |t| *t as f64 / 1e6);
    let title = format!("sample {number}{names}: {} events in {seconds:.3} s", sample.events.len());
    let path = arguments.picture.clone().unwrap_or_else(|| format!("sample-{number}.svg").into());
    output::check(&path, [arguments.path.as_path()])?;
    replace_file(&path, display::recording(&sample.events, sensor, &title).svg().as_bytes())?;
    screen::print(&format!("{title}, {}\nwrote {}\n", info::sensor(sensor), path.display()))
}
