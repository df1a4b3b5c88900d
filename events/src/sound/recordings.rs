//! WAV recordings in a folder or archive: parses their names and computes their spikes.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use zip::ZipArchive;

use super::cochlea::Cochlea;
use super::wav::Sound;
use crate::collection::{Collection, Description, Mended, Sample};
use crate::error::{Error, Result};
use crate::events::Sensor;
use crate::regular_file::{open_file, read_file};

/// Where the recordings are stored.
enum Place {
    Folder,
    Archive(Mutex<ZipArchive<BufReader<File>>>),
}

/// A recording, described by its file name.
#[derive(Clone, Debug)]
struct Recording {
    /// The path, within the archive if there is one.
    path: String,
    label: String,
    /// The speaker and the recording's number, for names `{label}_{speaker}_{index}.wav`.
    speaker: Option<(String, u32)>,
}

/// WAV files in a folder or a zip archive, including subfolders.
///
/// The label is the file name up to the first `_`. If all names are `{label}_{speaker}_{index}.wav`, as in the Free Spoken Digit
/// Dataset, the speakers are known, and that data set's own split applies: indices 0 to 4 test, the others train.
pub struct Recordings {
    place: Place,
    /// The training recordings, then the test recordings.
    recordings: Vec<Recording>,
    classes: Vec<String>,
    speakers: Vec<String>,
    train: Option<usize>,
}

impl Recordings {
    /// Opens the recordings at a path.
    ///
    /// # Errors
    /// `File` if it cannot be read; `Input` if there are none, or a name has no label.
    pub fn open(path: &Path) -> Result<Recordings> {
        let unreadable = |cause| Error::file("read", path, cause);
        let (place, names) = if fs::metadata(path).map_err(unreadable)?.is_dir() {
            (Place::Folder, in_folder(path)?)
        } else {
            let file = BufReader::new(open_file(path).map_err(unreadable)?);
            let archive = ZipArchive::new(file).map_err(|cause| {
                Error::input(format!("{} is neither a folder nor a usable zip archive: {cause}", path.display()))
            })?;
            let names = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
            (Place::Archive(Mutex::new(archive)), names)
        };
        let mut recordings =
            names.into_iter().filter(|name| is_wav(name)).map(Recording::named).collect::<Result<Vec<_>>>()?;
        if recordings.is_empty() {
            return Err(Error::input(format!("{} has no WAV files in it", path.display())));
        }
        if recordings.iter().any(|recording| recording.speaker.is_none()) {
            recordings.iter_mut().for_each(|recording| recording.speaker = None);
        }
        recordings.sort_by_cached_key(Recording::order);
        let tests = recordings.iter().filter(|recording| recording.tests()).count();
        let train = recordings.len() - tests;
        let speakers = distinct(recordings.iter().filter_map(|recording| Some(&recording.speaker.as_ref()?.0)));
        let classes = classes(&recordings);
        Ok(Recordings { place, classes, speakers, train: (tests > 0 && train > 0).then_some(train), recordings })
    }

    /// Number of recordings.
    pub fn count(&self) -> usize {
        self.recordings.len()
    }

    /// Their spikes, computed in parallel on all processors.
    ///
    /// # Errors
    /// `Input` for invalid cochlea channels.
    pub fn spikes(self, cochlea: Cochlea) -> Result<SpikeTrains> {
        cochlea.check()?;
        let description = Description {
            format: "WAV",
            sensor: Sensor::cochlea(cochlea.channels),
            count: self.count(),
            classes: self.classes.clone(),
            speakers: self.speakers.clone(),
            train: self.train,
            validation: 0,
        };
        Ok(SpikeTrains { recordings: self, cochlea, description, next: 0, ready: Vec::new().into_iter() })
    }

    /// The sound of a recording, by index.
    ///
    /// # Errors
    /// `File` if it cannot be read, `Input` if it is unusable or out of range.
    pub fn sound(&self, number: usize) -> Result<Sound> {
        let Some(Recording { path, .. }) = self.recordings.get(number) else {
            return Err(Error::input(format!("there is no recording {number}; there are {}", self.count())));
        };
        let unreadable = |cause| Error::file("read", Path::new(path), cause);
        let bytes = match &self.place {
            Place::Folder => read_file(Path::new(path)).map_err(unreadable)?,
            Place::Archive(archive) => {
                let mut archive = archive.lock().expect("no thread panics while it reads");
                let mut bytes = Vec::new();
                let file = archive.by_name(path).map_err(|cause| unreadable(cause.into()))?;
                file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
                bytes
            }
        };
        Sound::parse(&bytes, path)
    }

    fn sample(&self, number: usize, cochlea: &Cochlea) -> Result<Sample> {
        let recording = &self.recordings[number];
        let place = |all: &[String], one: &String| all.iter().position(|other| other == one).map(|place| place as u32);
        Ok(Sample {
            events: cochlea.spikes(&self.sound(number)?)?,
            label: place(&self.classes, &recording.label),
            speaker: recording.speaker.as_ref().and_then(|(speaker, _)| place(&self.speakers, speaker)),
            mended: Mended::default(),
        })
    }
}

impl Recording {
    fn named(path: String) -> Result<Recording> {
        let stem = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some((label, rest)) = stem.split_once('_').filter(|(label, _)| !label.is_empty()) else {
            return Err(Error::input(format!(
                "{path} has no label: a label is the file's name up to the first `_`, as in `seven_01.wav`"
            )));
        };
        let speaker =
            rest.rsplit_once('_').and_then(|(speaker, index)| Some((speaker.to_owned(), index.parse().ok()?)));
        Ok(Recording { label: label.to_owned(), speaker: speaker.filter(|(speaker, _)| !speaker.is_empty()), path })
    }

    fn tests(&self) -> bool {
        self.speaker.as_ref().is_some_and(|(_, index)| *index < 5)
    }

    /// The sort key, which interleaves classes and speakers.
    fn order(&self) -> (bool, u32, String, String) {
        let (speaker, index) = self.speaker.clone().unwrap_or((self.path.clone(), 0));
        (self.tests(), index, self.label.clone(), speaker)
    }
}

fn distinct<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut all: Vec<String> = texts.cloned().collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The class names by label. Numeric labels are class numbers; others are numbered alphabetically.
fn classes(recordings: &[Recording]) -> Vec<String> {
    let labels = distinct(recordings.iter().map(|recording| &recording.label));
    let number = |label: &String| label.parse::<u16>().ok().filter(|number| number.to_string() == *label);
    let numbers: Option<Vec<u16>> = labels.iter().map(number).collect();
    match numbers.and_then(|numbers| numbers.into_iter().max()) {
        Some(largest) if largest < 1000 => (0..=largest).map(|number| number.to_string()).collect(),
        _ => labels,
    }
}

fn is_wav(name: &str) -> bool {
    let path = Path::new(name);
    // macOS adds such files to archives.
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("wav"))
}

/// The files in a folder and its subfolders.
fn in_folder(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |cause| Error::file("read", folder, cause);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path: PathBuf = entry.path();
        // Links to folders are not followed: they may form a cycle.
        match entry.file_type().map_err(unreadable)?.is_dir() {
            true => names.extend(in_folder(&path)?),
            false => names.push(path.to_string_lossy().into_owned()),
        }
    }
    Ok(names)
}

/// The spikes of [`Recordings`], computed some recordings ahead on all processors.
pub struct SpikeTrains {
    recordings: Recordings,
    cochlea: Cochlea,
    description: Description,
    next: usize,
    ready: std::vec::IntoIter<Result<Sample>>,
}

/// Limit against decompression bombs: longer files are truncated, and so refused.
const MOST_BYTES: u64 = 1 << 30;

/// Recordings computed ahead per processor.
const AHEAD: usize = 16;

impl SpikeTrains {
    fn compute(&self, numbers: std::ops::Range<usize>) -> Vec<Result<Sample>> {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let next = AtomicUsize::new(numbers.start);
        let work = || {
            let mut own = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return own;
                }
                own.push((number, self.recordings.sample(number, &self.cochlea)));
            }
        };
        let mut all: Vec<(usize, Result<Sample>)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
        });
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, sample)| sample).collect()
    }
}

impl Iterator for SpikeTrains {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        if self.ready.as_slice().is_empty() {
            let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            let end = (self.next + AHEAD * threads).min(self.recordings.count());
            self.ready = self.compute(self.next..end).into_iter();
            self.next = end;
        }
        self.ready.next()
    }
}

impl Collection for SpikeTrains {
    fn description(&self) -> &Description {
        &self.description
    }

    fn restart(&mut self) -> Result<()> {
        (self.next, self.ready) = (0, Vec::new().into_iter());
        Ok(())
    }
}
