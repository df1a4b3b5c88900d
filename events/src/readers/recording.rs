//! Files with one recording: detects the format by name and first bytes, and reads the events.

use std::io::{BufReader, Read};
use std::path::Path;

use super::{aedat3, aedat4, nmnist, numpy, order};
use crate::collection::Mended;
use crate::error::{Error, Result};
use crate::events::{Events, Sensor};
use crate::regular_file::open_file;
use crate::time::is_time;

/// A format with one recording per file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// N-MNIST's `.bin`.
    Nmnist,
    /// `.npy` or `.npz`.
    NumPy,
    /// AEDAT 3.1.
    Aedat3,
    /// AEDAT 4.
    Aedat4,
}

/// The events of a file, sorted by time.
#[derive(Debug)]
pub struct Recording {
    pub events: Events,
    /// The sensor, if the file states it.
    pub sensor: Option<Sensor>,
    pub mended: Mended,
}

/// The result of parsing: events in file order, and the sensor if the file states it; or the end of an error sentence.
pub type Read1 = std::result::Result<(Events, Option<Sensor>), String>;

impl Format {
    /// The format of a file by its extension; the two AEDAT formats are distinguished by their first line.
    ///
    /// # Errors
    /// `File` if it cannot be read.
    pub fn of(path: &Path) -> Result<Option<Format>> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "bin" => Ok(Some(Format::Nmnist)),
            "npy" | "npz" => Ok(Some(Format::NumPy)),
            "aedat" | "aedat4" => {
                let mut start = Vec::new();
                let read = open_file(path).and_then(|file| file.take(12).read_to_end(&mut start));
                read.map_err(|cause| Error::file("read", path, cause))?;
                Ok(Some(if start == *aedat4::MAGIC { Format::Aedat4 } else { Format::Aedat3 }))
            }
            _ => Ok(None),
        }
    }

    /// The format's name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Nmnist => "N-MNIST",
            Format::NumPy => "NumPy",
            Format::Aedat3 => "AEDAT 3.1",
            Format::Aedat4 => "AEDAT 4",
        }
    }

    /// Reads a whole file. Its events lie within the sensor it states, else within `sensor`.
    ///
    /// # Errors
    /// `File` if it cannot be read, `Input` if it is damaged.
    pub fn read(self, path: &Path, sensor: Option<Sensor>) -> Result<Recording> {
        let refused =
            |reason: String| Error::input(format!("{} cannot be read as {}: {reason}", path.display(), self.name()));
        let file = open_file(path).map_err(|cause| Error::file("read", path, cause))?;
        let mut file = BufReader::new(file);
        let read = match self {
            Format::Nmnist => nmnist::read(&mut file),
            Format::NumPy => numpy::read(file),
            Format::Aedat3 => aedat3::read(&mut file),
            Format::Aedat4 => aedat4::read(&mut file),
        };
        let (mut events, named) = read.map_err(refused)?;
        if let Some(sensor) = named.or(sensor) {
            check_within(&events, sensor).map_err(refused)?;
        }
        let mended = Mended { without_time: drop_untimed(&mut events), sorted: order::sort(&mut events) };
        Ok(Recording { events, sensor: named, mended })
    }
}

/// Drops events with an invalid time; returns how many.
pub fn drop_untimed(events: &mut Events) -> u64 {
    let before = events.len();
    if events.t.iter().any(|t| !is_time(*t)) {
        let mut kept = Events::default();
        for place in (0..before).filter(|place| is_time(events.t[*place])) {
            kept.push(events.t[place], events.x[place], events.y[place], events.p[place]);
        }
        *events = kept;
    }
    (before - events.len()) as u64
}

fn check_within(events: &Events, sensor: Sensor) -> std::result::Result<(), String> {
    let Sensor { width, height, .. } = sensor;
    match events.x.iter().zip(&events.y).position(|(x, y)| *x >= width || *y >= height) {
        None => Ok(()),
        Some(place) if height == 1 => Err(format!(
            "event {place} is in channel {}, but there are {width} channels (0 to {})",
            events.x[place],
            width - 1
        )),
        Some(place) => Err(format!(
            "event {place} is at x = {}, y = {}, but the sensor has {width} columns and {height} rows",
            events.x[place], events.y[place]
        )),
    }
}

/// The smallest sensor that contains the events.
pub fn sensor_of(events: &Events) -> Sensor {
    let beyond = |places: &[u16]| places.iter().max().map_or(1, |largest| largest.saturating_add(1));
    let polarities = if events.p.contains(&false) { 2 } else { 1 };
    Sensor { width: beyond(&events.x), height: beyond(&events.y), polarities }
}

/// The bytes of a file; the buffer grows with the bytes read.
pub fn all(file: &mut impl Read) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|cause| cause.to_string())?;
    Ok(bytes)
}
