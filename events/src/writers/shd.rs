//! Writes the layout of the Spiking Heidelberg Digits: an HDF5 file with `spikes/times` (variable-length f16, seconds), `spikes/units`
//! (variable-length u16), `labels`, `extra/speaker` and `extra/keys`.

use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use half::f16;

use super::beside::{file_beside, put_in_place};
use super::hdf5::{Reference, Type, Writer};
use crate::error::{Error, Result};

/// One recording of a cochlea.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spikes {
    /// Sorted times in seconds.
    pub times: Vec<f32>,
    /// The channel of each spike.
    pub units: Vec<u16>,
    /// The class.
    pub label: u16,
    /// The speaker; 0 if unknown.
    pub speaker: u16,
}

/// Metadata shared by a file's samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Number of channels; all units are below it. Stored as the attribute `channels` of the root; SHD has 700 and no attribute.
    pub channels: u16,
    /// Names of the classes, by label.
    pub classes: Vec<String>,
    /// Names of the speakers, by number. Stored as `extra/speakers`; SHD has none.
    pub speakers: Vec<String>,
    /// Number of leading samples that train. Stored as the attribute `train` of the root.
    pub train: Option<usize>,
}

/// Checks that a file can be written at a path, before any long computation.
///
/// # Errors
/// `Input` if its folder does not exist, or the path is a folder.
pub fn check_place(path: &Path) -> Result<()> {
    let folder = folder(path);
    let reason = match (folder.is_dir(), path.is_dir()) {
        (false, _) => format!("there is no folder {}; make it first", folder.display()),
        (true, true) => "it is a folder; name a file".into(),
        (true, false) => return Ok(()),
    };
    Err(Error::input(format!("cannot write {}: {reason}", path.display())))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes all samples or none, in order, each as it arrives. Times are rounded to f16 as in SHD: to 0.5 ms between 0.5 and 1 s.
///
/// # Errors
/// `Input` for a sample with different numbers of times and units, or with a unit, label or speaker out of range of `names`; `File` if
/// the file cannot be written; the first error of `samples`.
///
/// ```
/// use spiq_events::{Names, Spikes, open, write_spikes};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("two.h5");
/// let names = Names { channels: 8, classes: vec!["low".into(), "high".into()], ..Names::default() };
/// let spikes = |unit, label| Ok(Spikes { times: vec![0.5, 0.75], units: vec![unit, unit + 1], label, speaker: 0 });
/// write_spikes(&path, &names, [spikes(0, 0), spikes(6, 1)])?;
/// let second = open(&path)?.nth(1).expect("two samples")?;
/// assert_eq!((second.label, second.events.x, second.events.t), (Some(1), vec![6, 7], vec![500_000, 750_000]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_spikes(path: &Path, names: &Names, samples: impl IntoIterator<Item = Result<Spikes>>) -> Result<()> {
    check_place(path)?;
    let cannot = |cause| Error::file("write", path, cause);
    // Omits the temporary file's name, which is of no use to the user.
    let nameless = |cause: io::Error| cannot(cause.kind().into());
    let beside = file_beside(folder(path)).map_err(nameless)?;
    let mut file = File::new(BufWriter::new(beside.as_file())).map_err(cannot)?;
    for (place, spikes) in samples.into_iter().enumerate() {
        let spikes = spikes?;
        check(place, &spikes, names)?;
        file.push(&spikes).map_err(cannot)?;
    }
    file.finish(names).map_err(cannot)?;
    put_in_place(beside, path).map_err(cannot)
}

fn check(place: usize, spikes: &Spikes, names: &Names) -> Result<()> {
    let refused = |what: String| Err(Error::input(format!("sample {place} cannot be written: {what}")));
    if spikes.times.len() != spikes.units.len() {
        return refused(format!("it has {} times and {} units", spikes.times.len(), spikes.units.len()));
    }
    if let Some(unit) = spikes.units.iter().find(|unit| **unit >= names.channels) {
        return refused(format!("it has a spike of unit {unit}, but there are {} channels", names.channels));
    }
    if !names.classes.is_empty() && usize::from(spikes.label) >= names.classes.len() {
        return refused(format!("its label is {}, but there are {} classes", spikes.label, names.classes.len()));
    }
    if !names.speakers.is_empty() && usize::from(spikes.speaker) >= names.speakers.len() {
        return refused(format!("its speaker is {}, but there are {}", spikes.speaker, names.speakers.len()));
    }
    Ok(())
}

/// The file being written. For each sample, keeps only references to its spikes.
struct File<W> {
    writer: Writer<W>,
    times: Vec<Reference>,
    units: Vec<Reference>,
    labels: Vec<u8>,
    speakers: Vec<u8>,
}

impl<W: Write + Seek> File<W> {
    fn new(out: W) -> io::Result<File<W>> {
        let (times, units, labels, speakers) = Default::default();
        Ok(File { writer: Writer::new(out)?, times, units, labels, speakers })
    }

    fn push(&mut self, spikes: &Spikes) -> io::Result<()> {
        let items = u32::try_from(spikes.times.len()).map_err(io::Error::other)?;
        let times: Vec<u8> = spikes.times.iter().flat_map(|time| f16::from_f32(*time).to_le_bytes()).collect();
        self.times.push(self.writer.element(items, &times)?);
        let units: Vec<u8> = spikes.units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        self.units.push(self.writer.element(items, &units)?);
        self.labels.extend(spikes.label.to_le_bytes());
        self.speakers.extend(spikes.speaker.to_le_bytes());
        Ok(())
    }

    fn finish(mut self, names: &Names) -> io::Result<()> {
        let count = self.times.len();
        let times = self.writer.variable(Type::F16, &self.times)?;
        let units = self.writer.variable(Type::U16, &self.units)?;
        let (spikes, tables) = self.writer.group(&[("times", times, None), ("units", units, None)])?;
        let labels = self.writer.data(Type::U16, count, &self.labels)?;
        // Sorted by name, as a group's links must be.
        let mut extra = Vec::new();
        if !names.classes.is_empty() {
            extra.push(("keys", self.texts(&names.classes)?, None));
        }
        extra.push(("speaker", self.writer.data(Type::U16, count, &self.speakers)?, None));
        if !names.speakers.is_empty() {
            extra.push(("speakers", self.texts(&names.speakers)?, None));
        }
        let (extra, extra_tables) = self.writer.group(&extra)?;
        let mut attributes = vec![("channels", names.channels.to_string())];
        attributes.extend(names.train.map(|train| ("train", train.to_string())));
        let links = [("extra", extra, Some(extra_tables)), ("labels", labels, None), ("spikes", spikes, Some(tables))];
        self.writer.finish(&links, &attributes).map(drop)
    }

    /// Texts padded to the length of the longest.
    fn texts(&mut self, texts: &[String]) -> io::Result<u64> {
        let length = texts.iter().map(String::len).max().unwrap_or(0).max(1);
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend(text.as_bytes());
            bytes.resize(bytes.len() + length - text.len(), 0);
        }
        self.writer.data(Type::Text(length as u32), texts.len(), &bytes)
    }
}
