//! Collections with one recording per file: class folders, DVS gestures, a single file.

mod folders;
mod gestures;

use std::path::{Path, PathBuf};

use super::recording::{Format, Recording, drop_untimed, sensor_of};
use crate::collection::{Collection, Description, Sample};
use crate::error::{Error, Result};
use crate::events::{Events, Sensor};

pub use folders::{class_folders, entries, loose, name};
pub use gestures::{labelled, users};

/// A sample: a file, or a time range of it.
#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    format: Format,
    label: Option<u32>,
    speaker: Option<u32>,
    /// Start and end, in the file's microseconds.
    cut: Option<[i64; 2]>,
}

/// Samples stored in files.
#[derive(Debug)]
pub struct Files {
    entries: Vec<Entry>,
    description: Description,
    /// The factor that converts the files' times to microseconds.
    scale: i64,
    next: usize,
    /// The recording that was cut last, kept because the next sample may come from it.
    last: Option<(PathBuf, Recording)>,
}

/// A collection of files before any is read.
#[derive(Debug, Default)]
struct Plan {
    name: Option<&'static str>,
    entries: Vec<Entry>,
    classes: Vec<String>,
    speakers: Vec<String>,
    train: Option<usize>,
    sensor: Option<Sensor>,
    scale: Option<i64>,
}

impl Plan {
    /// Opens the collection. Reads the first file for its sensor, or all of them if the files do not state theirs.
    fn open(self) -> Result<Files> {
        let format = self.entries.first().map_or("", |entry| entry.format.name());
        let sensor = match self.sensor {
            Some(sensor) => sensor,
            None => sensor_of_files(&self.entries)?,
        };
        let description = Description {
            format: self.name.unwrap_or(format),
            sensor,
            count: self.entries.len(),
            classes: self.classes,
            speakers: self.speakers,
            train: self.train,
            validation: 0,
        };
        Ok(Files { entries: self.entries, description, scale: self.scale.unwrap_or(1), next: 0, last: None })
    }
}

/// The collection of a single file.
///
/// # Errors
/// Those of reading the file.
pub fn single(path: &Path, format: Format) -> Result<Files> {
    let entry = Entry { path: path.to_owned(), format, label: None, speaker: None, cut: None };
    Plan { entries: vec![entry], ..Plan::default() }.open()
}

fn sensor_of_files(entries: &[Entry]) -> Result<Sensor> {
    let mut largest = Sensor { width: 1, height: 1, polarities: 1 };
    for entry in entries {
        let recording = entry.format.read(&entry.path, None)?;
        if let Some(sensor) = recording.sensor {
            return Ok(sensor);
        }
        let own = sensor_of(&recording.events);
        largest = Sensor {
            width: largest.width.max(own.width),
            height: largest.height.max(own.height),
            polarities: largest.polarities.max(own.polarities),
        };
    }
    Ok(largest)
}

impl Files {
    fn read(&mut self, place: usize) -> Result<Sample> {
        let entry = self.entries[place].clone();
        let recording = self.recording(&entry)?;
        let (mut events, mut mended) = match entry.cut {
            None => (recording.events, recording.mended),
            Some(cut) => {
                let part = between(&recording.events, cut);
                let mended = recording.mended;
                self.last = Some((entry.path, recording));
                (part, mended)
            }
        };
        // A camera's clock starts at an arbitrary time.
        let begins = match (entry.format, entry.cut) {
            (_, Some([from, _])) => from,
            (Format::Aedat3, None) => events.t.first().copied().unwrap_or(0),
            _ => 0,
        };
        let scale = self.scale;
        if begins != 0 || scale != 1 {
            events.t.iter_mut().for_each(|t| *t = (*t - begins).saturating_mul(scale));
            mended.without_time += drop_untimed(&mut events);
        }
        Ok(Sample { events, label: entry.label, speaker: entry.speaker, mended })
    }

    fn recording(&mut self, entry: &Entry) -> Result<Recording> {
        if let Some((_, recording)) = self.last.take().filter(|(path, _)| *path == entry.path) {
            return Ok(recording);
        }
        let sensor = self.description.sensor;
        let recording = entry.format.read(&entry.path, Some(sensor))?;
        match recording.sensor.filter(|own| *own != sensor) {
            None => Ok(recording),
            Some(own) => Err(Error::input(format!(
                "{} has a sensor of {} x {}, but the earlier files have one of {} x {}; keep them in different folders",
                entry.path.display(),
                own.width,
                own.height,
                sensor.width,
                sensor.height
            ))),
        }
    }
}

/// The events between two times, excluding the second.
fn between(events: &Events, [from, to]: [i64; 2]) -> Events {
    let start = events.t.partition_point(|t| *t < from);
    let end = events.t.partition_point(|t| *t < to).max(start);
    Events {
        t: events.t[start..end].to_vec(),
        x: events.x[start..end].to_vec(),
        y: events.y[start..end].to_vec(),
        p: events.p[start..end].to_vec(),
    }
}

impl Iterator for Files {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        let place = self.next;
        (place < self.entries.len()).then(|| {
            self.next += 1;
            self.read(place)
        })
    }

    fn nth(&mut self, skipped: usize) -> Option<Result<Sample>> {
        self.next = self.next.saturating_add(skipped);
        self.next()
    }
}

impl Collection for Files {
    fn description(&self) -> &Description {
        &self.description
    }

    fn restart(&mut self) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}
