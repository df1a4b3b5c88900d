//! The Spiking Heidelberg Digits and Spiking Speech Commands: HDF5 with `spikes/times` (variable-length f16 or f32, seconds),
//! `spikes/units` (variable-length u16; other integers are accepted), `labels`, `extra/keys`, `extra/speaker` (Cramer and others 2020).
//!
//! Optional attributes of the root: `channels` (default 700) and `train` (the number of leading samples that train). Both are texts,
//! because `rust-hdf5` cannot read numeric attributes of the root.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use half::f16;
use rust_hdf5::{ByteOrder, DatatypeMessage};

use super::hdf5::Hdf5;
use super::heap::{Damage, Reference, Walk};
use super::order;
use crate::collection::{Collection, Description, Mended, Sample};
use crate::error::{Error, Result};
use crate::events::{Events, Sensor};
use crate::regular_file::open_file;
use crate::time::{NO_TIME, to_microseconds};

/// Number of channels of SHD and SSC.
const CHANNELS: u16 = 700;

/// The samples of one file.
pub struct Shd {
    path: PathBuf,
    file: File,
    /// The offset from which addresses count.
    base: u64,
    times: Column,
    units: Column,
    unit_kind: UnitKind,
    /// Whether the file states the number of channels.
    says_channels: bool,
    kind: TimeKind,
    labels: Option<Vec<u32>>,
    speakers: Option<Vec<u32>>,
    description: Description,
    next: usize,
}

struct Column {
    references: Vec<Reference>,
    walk: Walk,
    bytes: Vec<u8>,
}

/// The integer type of units.
#[derive(Clone, Copy)]
struct UnitKind {
    bytes: usize,
    signed: bool,
}

enum TimeKind {
    /// Microseconds for each of the 65,536 bit patterns.
    Half(Box<[i64]>),
    Single,
    Double,
}

impl TimeKind {
    fn bytes(&self) -> usize {
        match self {
            TimeKind::Half(_) => 2,
            TimeKind::Single => 4,
            TimeKind::Double => 8,
        }
    }
}

impl Shd {
    /// Opens a file and reads everything except its spikes.
    ///
    /// # Errors
    /// `File` if it cannot be read, `Input` if it is damaged or has another layout.
    pub fn open(path: &Path) -> Result<Shd> {
        let file = open_file(path).map_err(|cause| Error::file("read", path, cause))?;
        let refused = |reason: String| Error::input(format!("{} cannot be read as SHD: {reason}", path.display()));
        check_length(&file, path)?;
        let hdf5 = Hdf5::open(path, &file).map_err(refused)?;
        let (times, kind) = times(&hdf5).map_err(refused)?;
        let (units, unit_kind) = units(&hdf5).map_err(refused)?;
        let count = times.references.len();
        if units.references.len() != count {
            return Err(refused(format!("it has times of {count} samples and units of {}", units.references.len())));
        }
        let labels = hdf5.numbers("labels", count).map_err(refused)?;
        let speakers = hdf5.numbers("extra/speaker", count).map_err(refused)?;
        let channels = hdf5.attribute("channels", 1..=usize::from(u16::MAX)).map_err(refused)?;
        let mut names = hdf5.texts("extra/speakers").map_err(refused)?;
        if names.is_empty() {
            names = speakers.as_deref().map(numbered).unwrap_or_default();
        }
        let description = Description {
            format: "SHD",
            sensor: Sensor::cochlea(channels.map_or(CHANNELS, |n| n as u16)),
            count,
            classes: hdf5.texts("extra/keys").map_err(refused)?,
            speakers: names,
            train: hdf5.attribute("train", 0..=count).map_err(refused)?,
            validation: 0,
        };
        let shd = Shd {
            path: path.to_owned(),
            file,
            base: hdf5.base(),
            times,
            units,
            unit_kind,
            says_channels: channels.is_some(),
            kind,
            labels,
            speakers,
            description,
            next: 0,
        };
        shd.check_labels()?;
        Ok(shd)
    }

    fn check_labels(&self) -> Result<()> {
        let classes = self.description.classes.len();
        let beyond =
            self.labels.iter().flatten().enumerate().find(|(_, label)| classes > 0 && **label as usize >= classes);
        match beyond {
            Some((sample, label)) => {
                Err(self.refused(sample, &format!("its label is {label}, but there are {classes} classes")))
            }
            None => Ok(()),
        }
    }

    fn refused(&self, sample: usize, reason: &str) -> Error {
        Error::input(format!("sample {sample} of {} cannot be read: {reason}", self.path.display()))
    }

    fn damage(&self, sample: usize, damage: Damage) -> Error {
        match damage {
            Damage::Io(cause) => Error::file("read", &self.path, cause),
            Damage::Heap(reason) => self.refused(sample, reason),
        }
    }

    fn read(&mut self, sample: usize) -> Result<Sample> {
        let (times, units) = (self.times.references[sample].items, self.units.references[sample].items);
        if times != units {
            return Err(self.refused(sample, &format!("it has {times} times and {units} units")));
        }
        let read = self.times.read(&mut self.file, self.base, sample, self.kind.bytes());
        read.map_err(|damage| self.damage(sample, damage))?;
        let read = self.units.read(&mut self.file, self.base, sample, self.unit_kind.bytes);
        read.map_err(|damage| self.damage(sample, damage))?;
        let mut t = self.microseconds();
        let mut x = self.channels(sample)?;
        let without_time = drop_untimed(&mut t, &mut x);
        let count = t.len();
        let mut events = Events { t, x, y: vec![0; count], p: vec![true; count] };
        let sorted = order::sort(&mut events);
        Ok(Sample {
            events,
            label: self.labels.as_ref().map(|labels| labels[sample]),
            speaker: self.speakers.as_ref().map(|speakers| speakers[sample]),
            mended: Mended { without_time, sorted },
        })
    }

    /// The units just read, as channels.
    fn channels(&self, sample: usize) -> Result<Vec<u16>> {
        let (bytes, width) = (&self.units.bytes, self.description.sensor.width);
        let beyond = |unit: i128| {
            let remedy = match self.says_channels {
                true => String::new(),
                false => format!("; if there are more, set in h5py f.attrs['channels'] = '{}'", unit + 1),
            };
            let reason =
                format!("it has a spike in channel {unit}, but there are {width} channels (0 to {})", width - 1);
            self.refused(sample, &format!("{reason}{}", if unit < 0 { "" } else { remedy.as_str() }))
        };
        if let UnitKind { bytes: 2, signed: false } = self.unit_kind {
            let x: Vec<u16> = bytes.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
            return match x.iter().copied().max().filter(|unit| *unit >= width) {
                None => Ok(x),
                Some(unit) => Err(beyond(unit.into())),
            };
        }
        let unit = |item| match self.unit_kind.number(item) {
            unit if (0..i128::from(width)).contains(&unit) => Ok(unit as u16),
            unit => Err(beyond(unit)),
        };
        bytes.chunks_exact(self.unit_kind.bytes).map(unit).collect()
    }

    /// The times just read, in microseconds.
    fn microseconds(&self) -> Vec<i64> {
        let bytes = &self.times.bytes;
        match &self.kind {
            TimeKind::Half(table) => {
                bytes.as_chunks().0.iter().map(|b| table[usize::from(u16::from_le_bytes(*b))]).collect()
            }
            TimeKind::Single => {
                bytes.as_chunks().0.iter().map(|b| to_microseconds(f32::from_le_bytes(*b).into())).collect()
            }
            TimeKind::Double => bytes.as_chunks().0.iter().map(|b| to_microseconds(f64::from_le_bytes(*b))).collect(),
        }
    }
}

impl UnitKind {
    /// The value of at most eight bytes, little-endian.
    fn number(self, item: &[u8]) -> i128 {
        let negative = self.signed && item.last().is_some_and(|last| last & 0x80 != 0);
        let mut bytes = [if negative { 0xff } else { 0 }; 16];
        bytes[..item.len()].copy_from_slice(item);
        i128::from_le_bytes(bytes)
    }
}

impl Column {
    fn read(&mut self, file: &mut File, base: u64, sample: usize, item: usize) -> std::result::Result<(), Damage> {
        let reference = self.references[sample];
        self.walk.read(file, base, reference, u64::from(reference.items) * item as u64, &mut self.bytes)
    }
}

impl Iterator for Shd {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        let sample = self.next;
        (sample < self.description.count).then(|| {
            self.next += 1;
            self.read(sample)
        })
    }

    fn nth(&mut self, skipped: usize) -> Option<Result<Sample>> {
        self.next = self.next.saturating_add(skipped);
        self.next()
    }
}

impl Collection for Shd {
    fn description(&self) -> &Description {
        &self.description
    }

    fn restart(&mut self) -> Result<()> {
        self.next = 0;
        Ok(())
    }
}

/// Detects a truncated file by the length in its header. libhdf5 also refuses such files.
fn check_length(file: &File, path: &Path) -> Result<()> {
    let cannot = |cause| Error::file("read", path, cause);
    let mut head = Vec::new();
    file.take(64).read_to_end(&mut head).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    // Offset of the end-of-file address, by header version (HDF5 file format specification, II.A).
    let place = match head.get(8) {
        Some(0) => 40,
        Some(1) => 44,
        _ => 28,
    };
    let sizes = if place > 28 { head.get(13) } else { head.get(9) };
    let end = head.get(place..).and_then(|rest| rest.first_chunk()).map(|end| u64::from_le_bytes(*end));
    match end.filter(|end| sizes == Some(&8) && *end > length) {
        None => Ok(()),
        Some(end) => Err(Error::input(format!(
            "{} is cut off: according to its header it has {end} bytes, but the file has {length}; download it again",
            path.display()
        ))),
    }
}

fn half_table() -> Box<[i64]> {
    (0..=u16::MAX).map(|bits| to_microseconds(f16::from_bits(bits).into())).collect()
}

/// Drops events without a valid time; returns how many.
fn drop_untimed(t: &mut Vec<i64>, x: &mut Vec<u16>) -> u64 {
    let before = t.len();
    if t.contains(&NO_TIME) {
        let mut kept = t.iter().map(|time| *time != NO_TIME);
        x.retain(|_| kept.next().unwrap_or(false));
        t.retain(|time| *time != NO_TIME);
    }
    (before - t.len()) as u64
}

fn times(file: &Hdf5) -> std::result::Result<(Column, TimeKind), String> {
    let (column, item) = column(file, "spikes/times")?;
    let kind = match &item {
        DatatypeMessage::FloatingPoint { size: 2, byte_order: ByteOrder::LittleEndian, .. } => {
            TimeKind::Half(half_table())
        }
        DatatypeMessage::FloatingPoint { size: 4, byte_order: ByteOrder::LittleEndian, .. } => TimeKind::Single,
        DatatypeMessage::FloatingPoint { size: 8, byte_order: ByteOrder::LittleEndian, .. } => TimeKind::Double,
        DatatypeMessage::FloatingPoint { size, byte_order: ByteOrder::BigEndian, .. } => {
            return Err(format!("`spikes/times` is big-endian; write it as '<f{size}'"));
        }
        other => {
            return Err(format!(
                "`spikes/times` holds {other}, but must hold f16, f32 or f64 (little-endian), in seconds"
            ));
        }
    };
    Ok((column, kind))
}

fn units(file: &Hdf5) -> std::result::Result<(Column, UnitKind), String> {
    let (column, item) = column(file, "spikes/units")?;
    match item {
        DatatypeMessage::FixedPoint { size: size @ (1 | 2 | 4 | 8), byte_order, signed, .. } => match byte_order {
            ByteOrder::LittleEndian => Ok((column, UnitKind { bytes: size as usize, signed })),
            ByteOrder::BigEndian => Err("`spikes/units` is big-endian; write it as '<u2'".into()),
        },
        other => Err(format!("`spikes/units` holds {other}, but must hold u16; write it with dtype 'u2'")),
    }
}

/// A data set of variable-length elements, and the type of their items.
fn column(file: &Hdf5, name: &str) -> std::result::Result<(Column, DatatypeMessage), String> {
    let data = file.dataset(name)?.ok_or(format!("it has no data set `{name}`"))?;
    let item = match data.datatype() {
        Ok(DatatypeMessage::VarLenSequence { base }) => *base,
        Ok(other) => return Err(format!("`{name}` is {other}, but must be of variable length")),
        Err(error) => return Err(format!("the type of `{name}` is damaged ({error})")),
    };
    let bytes = data.read_raw_bytes().map_err(|error| format!("`{name}` is damaged ({error})"))?;
    let (references, rest) = bytes.as_chunks();
    if data.element_size() != Reference::BYTES || !rest.is_empty() {
        return Err(format!("`{name}` has addresses that are not 8 bytes long"));
    }
    let references = references.iter().map(Reference::parse).collect();
    Ok((Column { references, walk: Walk::default(), bytes: Vec::new() }, item))
}

/// Names for speakers that have only numbers. A single speaker means none: such files mark the speaker as unknown.
fn numbered(speakers: &[u32]) -> Vec<String> {
    match speakers.iter().max() {
        Some(largest @ 1..=0xffff) => (0..=*largest).map(|number| number.to_string()).collect(),
        _ => Vec::new(),
    }
}
