//! Writes the layout of the Spiking Heidelberg Digits: an HDF5 file with `spikes/times` (variable-length f16, seconds),
//! `spikes/units` (variable-length u16), `labels`, `extra/speaker` and `extra/keys`.

use std::path::Path;

use half::f16;
use rust_hdf5::{DatatypeMessage, H5File, H5Type};

use crate::error::{Error, Result};

/// One recording of a cochlea.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spikes {
    /// Times in seconds, in order.
    pub times: Vec<f32>,
    /// The channel of each.
    pub units: Vec<u16>,
    /// The class.
    pub label: u16,
    /// Who speaks: 0 where that is not known.
    pub speaker: u16,
}

/// What is said of a file's samples together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Number of channels; all units are below it. Kept as the attribute `channels` of the root; SHD has 700 and no attribute.
    pub channels: u16,
    /// Names of the classes, by label.
    pub classes: Vec<String>,
    /// Names of the speakers, by number. Kept as `extra/speakers`; SHD has none.
    pub speakers: Vec<String>,
    /// How many of the first samples train. Kept as the attribute `train` of the root.
    pub train: Option<usize>,
}

/// Writes the samples whole or not at all, in their order. Times are rounded to f16 as in SHD: to 0.5 ms between 0.5 and 1 s.
///
/// # Errors
/// `Input` for a sample with as many times as it has not units, or a unit, label or speaker beyond `names`; `File` when the file
/// cannot be written; the first error of `samples`.
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
    let mut columns = Columns::default();
    for (place, spikes) in samples.into_iter().enumerate() {
        let spikes = spikes?;
        check(place, &spikes, names)?;
        columns.push(spikes);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let cannot = |cause| Error::file("write", path, cause);
    let beside = builder().tempfile_in(folder).map_err(cannot)?;
    columns.write(beside.path(), names).map_err(|error| cannot(std::io::Error::other(error)))?;
    beside.as_file().sync_all().map_err(cannot)?;
    beside.persist(path).map_err(|failed| cannot(failed.error))?;
    Ok(())
}

fn builder() -> tempfile::Builder<'static, 'static> {
    #[allow(unused_mut, reason = "changed on Unix only")]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // A temporary file is private by default, but this one becomes a result: the user's umask decides.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
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

/// An f16 as HDF5 knows it.
#[derive(Clone, Copy)]
struct Half(#[expect(dead_code, reason = "written as bytes")] f16);

impl H5Type for Half {
    fn hdf5_type() -> DatatypeMessage {
        DatatypeMessage::f16_type()
    }

    fn element_size() -> usize {
        2
    }
}

#[derive(Default)]
struct Columns {
    times: Vec<Vec<Half>>,
    units: Vec<Vec<u16>>,
    labels: Vec<u16>,
    speakers: Vec<u16>,
}

impl Columns {
    fn push(&mut self, spikes: Spikes) {
        self.times.push(spikes.times.iter().map(|time| Half(f16::from_f32(*time))).collect());
        self.units.push(spikes.units);
        self.labels.push(spikes.label);
        self.speakers.push(spikes.speaker);
    }

    fn write(&self, path: &Path, names: &Names) -> rust_hdf5::Result<()> {
        let file = H5File::create(path)?;
        let root = file.root_group();
        let spikes = root.create_group("spikes")?;
        spikes.write_vlen_numeric("times", &slices(&self.times))?;
        spikes.write_vlen_numeric("units", &slices(&self.units))?;
        let count = [self.labels.len()];
        file.new_dataset::<u16>().shape(count).create("labels")?.write_raw(&self.labels)?;
        let extra = root.create_group("extra")?;
        extra.new_dataset::<u16>().shape(count).create("speaker")?.write_raw(&self.speakers)?;
        for (name, texts) in [("keys", &names.classes), ("speakers", &names.speakers)] {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            if !texts.is_empty() {
                extra.write_vlen_strings(name, &texts)?;
            }
        }
        file.set_attr_string("channels", &names.channels.to_string())?;
        if let Some(train) = names.train {
            file.set_attr_string("train", &train.to_string())?;
        }
        file.close()
    }
}

fn slices<T>(columns: &[Vec<T>]) -> Vec<&[T]> {
    columns.iter().map(Vec::as_slice).collect()
}
