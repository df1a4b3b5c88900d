//! A compact file format for spike trains: the gaps between each channel's spikes, deflated. The built-in data set uses it.

use std::io::{Read, Write};
use std::ops::Range;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use crate::collection::{Collection, Description, Sample};
use crate::error::{Error, Result};
use crate::events::{Events, Sensor};

/// Microseconds per tick; times are rounded down to ticks.
pub const TICK: i64 = 1000;

/// The header of a file.
///
/// A file is one zlib stream: the header as TOML and a zero byte; the labels, one byte per sample; the speakers likewise; the number of
/// spikes of each channel of each sample; then, by sample and channel, the gap of each spike in ticks to the previous one in its
/// channel, or to the start. These numbers are LEB128: groups of seven bits, lowest first, with the highest bit set in all bytes but
/// the last.
#[derive(Serialize, Deserialize)]
struct Header {
    channels: u16,
    count: usize,
    train: Option<usize>,
    classes: Vec<String>,
    speakers: Vec<String>,
}

/// The spike trains of such a file, in order.
pub struct Compact {
    description: Description,
    bytes: Vec<u8>,
    labels: Range<usize>,
    speakers: Range<usize>,
    /// Offsets of the next channel's spike count and of the next gap.
    counts: usize,
    gaps: usize,
    next: usize,
    first: [usize; 2],
}

/// Encodes a collection. Labels and speakers must be below 256.
///
/// # Errors
/// The collection's first error; `Input` for a sample without label or speaker.
pub fn compact(collection: &mut dyn Collection) -> Result<Vec<u8>> {
    let Description { sensor, count, train, classes, speakers, .. } = collection.description().clone();
    let channels = sensor.width;
    let (mut labels, mut spoken, mut counts, mut gaps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for sample in collection {
        let sample = sample?;
        let byte = |number: Option<u32>| number.and_then(|number| u8::try_from(number).ok());
        let (Some(label), Some(speaker)) = (byte(sample.label), byte(sample.speaker)) else {
            return Err(Error::input("each recording needs a label and a speaker, below 256"));
        };
        labels.push(label);
        spoken.push(speaker);
        for ticks in by_channel(&sample.events, channels) {
            push_number(&mut counts, ticks.len() as u64);
            let before = std::iter::once(&0).chain(&ticks);
            ticks.iter().zip(before).for_each(|(tick, before)| push_number(&mut gaps, (tick - before) as u64));
        }
    }
    let header = Header { channels, count, train, classes, speakers };
    let header = toml::to_string(&header).expect("numbers and texts");
    let mut stream = ZlibEncoder::new(Vec::new(), Compression::best());
    for part in [header.as_bytes(), &[0], &labels, &spoken, &counts, &gaps] {
        stream.write_all(part).expect("memory");
    }
    Ok(stream.finish().expect("memory"))
}

/// The ticks of each channel's spikes.
fn by_channel(events: &Events, channels: u16) -> Vec<Vec<i64>> {
    let mut all = vec![Vec::new(); channels.into()];
    events.t.iter().zip(&events.x).for_each(|(t, channel)| all[usize::from(*channel)].push(t / TICK));
    all
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

impl Compact {
    /// Parses a file's contents.
    ///
    /// # Errors
    /// `Input` for damaged contents.
    pub fn parse(file: &[u8]) -> Result<Compact> {
        let broken = || Error::input("the spike trains are damaged");
        let mut bytes = Vec::new();
        ZlibDecoder::new(file).read_to_end(&mut bytes).map_err(|_| broken())?;
        let end = bytes.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| broken())?;
        let Header { channels, count, train, classes, speakers } = toml::from_str(text).map_err(|_| broken())?;
        if count > bytes.len() {
            return Err(broken());
        }
        let labels = end + 1..end + 1 + count;
        let spoken = labels.end..labels.end + count;
        let mut gaps = spoken.end;
        for _ in 0..count * usize::from(channels) {
            take_number(&bytes, &mut gaps).ok_or_else(broken)?;
        }
        let sensor = Sensor::cochlea(channels);
        let description =
            Description { format: "spoken digits", sensor, count, classes, speakers, train, validation: 0 };
        let first = [spoken.end, gaps];
        Ok(Compact { description, bytes, counts: first[0], gaps, labels, speakers: spoken, next: 0, first })
    }

    fn sample(&mut self) -> Option<Sample> {
        let mut spikes: Vec<(i64, u16)> = Vec::new();
        for channel in 0..self.description.sensor.width {
            let mut tick = 0;
            for _ in 0..take_number(&self.bytes, &mut self.counts)? {
                tick += take_number(&self.bytes, &mut self.gaps)? as i64;
                spikes.push((tick, channel));
            }
        }
        spikes.sort_unstable();
        let mut events = Events::default();
        spikes.into_iter().for_each(|(tick, channel)| events.push(tick * TICK, channel, 0, true));
        let number = |part: &Range<usize>| Some(u32::from(self.bytes[part.start + self.next]));
        Some(Sample { events, label: number(&self.labels), speaker: number(&self.speakers), ..Sample::default() })
    }
}

/// Decodes the number at `place` and advances `place` past it.
fn take_number(bytes: &[u8], place: &mut usize) -> Option<u32> {
    let mut number = 0u32;
    for shift in [0, 7, 14, 21] {
        let byte = *bytes.get(*place)?;
        *place += 1;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

impl Iterator for Compact {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        if self.next >= self.description.count {
            return None;
        }
        let sample = self.sample().ok_or_else(|| Error::input("the spike trains are cut off"));
        self.next += 1;
        Some(sample)
    }
}

impl Collection for Compact {
    fn description(&self) -> &Description {
        &self.description
    }

    fn restart(&mut self) -> Result<()> {
        ([self.counts, self.gaps], self.next) = (self.first, 0);
        Ok(())
    }
}
