//! The DVS128 Gesture data set (Amir and others 2017), in its original layout and in that of tonic's archives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::recording::Format;
use super::folders::{entries, name};
use super::{Entry, Files, Plan};
use crate::error::{Error, Result};
use crate::events::Sensor;
use crate::regular_file::read_text;

const NAME: &str = "DVS Gesture";
const SENSOR: Sensor = Sensor { width: 128, height: 128, polarities: 2 };
const CLASSES: [&str; 11] = [
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter-clockwise",
    "left arm clockwise",
    "left arm counter-clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
];

/// tonic's layout: folders `user01_fluorescent`, each with `0.npy` to `10.npy` with rows (x, y, p, t), t in milliseconds. Of two roots,
/// the first is the training part. `None` if the folders have another layout.
///
/// # Errors
/// `File` for an unreadable folder.
pub fn users(roots: &[&Path]) -> Result<Option<Files>> {
    let (mut files, mut train) = (Vec::new(), 0);
    for (part, root) in roots.iter().enumerate() {
        for folder in entries(root)?.into_iter().filter(|path| path.is_dir() && user(&name(path)).is_some()) {
            files.extend(entries(&folder)?.into_iter().filter_map(|path| Some((class(&path)?, path))));
        }
        if part == 0 {
            train = files.len();
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    let mut plan = plan(files.iter().map(|(_, path)| path.parent().unwrap_or(path)));
    let entry = |(label, path): (u32, PathBuf)| {
        let speaker = plan.speaker(path.parent().unwrap_or(&path));
        Entry { path, format: Format::NumPy, label: Some(label), speaker, cut: None }
    };
    plan.entries = files.into_iter().map(entry).collect();
    plan.train = (roots.len() > 1).then_some(train);
    plan.scale = Some(1000);
    plan.open().map(Some)
}

/// The original layout: `user01_fluorescent.aedat` beside `user01_fluorescent_labels.csv`, whose lines are class, begin and end of a
/// gesture. If `trials_to_train.txt` and `trials_to_test.txt` exist, they define the split. `None` if there are no such files.
///
/// # Errors
/// `File` for an unreadable file, `Input` for a malformed line.
pub fn labelled(root: &Path) -> Result<Option<Files>> {
    let labels =
        |path: &Path| path.with_file_name(format!("{}_labels.csv", path.file_stem().unwrap_or_default().display()));
    let mut files: Vec<PathBuf> = entries(root)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "aedat") && labels(path).is_file());
    if files.is_empty() {
        return Ok(None);
    }
    let train = match (trials(root, "trials_to_train.txt")?, trials(root, "trials_to_test.txt")?) {
        (Some(train), Some(test)) => {
            let of = |wanted: &[String]| files.iter().filter(|path| wanted.contains(&name(path))).cloned().collect();
            let (train, test): (Vec<PathBuf>, Vec<PathBuf>) = (of(&train), of(&test));
            let count = train.len();
            files = [train, test].concat();
            Some(count)
        }
        _ => None,
    };
    let mut plan = plan(files.iter().map(PathBuf::as_path));
    for (place, path) in files.iter().enumerate() {
        if train == Some(place) {
            plan.train = Some(plan.entries.len());
        }
        for (class, cut) in gestures(&labels(path))? {
            let speaker = plan.speaker(path);
            plan.entries.push(Entry {
                path: path.clone(),
                format: Format::Aedat3,
                label: Some(class),
                speaker,
                cut: Some(cut),
            });
        }
    }
    plan.open().map(Some)
}

fn plan<'a>(paths: impl Iterator<Item = &'a Path>) -> Plan {
    let speakers: BTreeMap<String, ()> = paths.filter_map(|path| Some((user(&name(path))?, ()))).collect();
    Plan {
        name: Some(NAME),
        classes: CLASSES.map(str::to_owned).to_vec(),
        speakers: speakers.into_keys().collect(),
        sensor: Some(SENSOR),
        ..Plan::default()
    }
}

impl Plan {
    fn speaker(&self, path: &Path) -> Option<u32> {
        let user = user(&name(path))?;
        self.speakers.iter().position(|speaker| *speaker == user).map(|place| place as u32)
    }
}

/// `user01` of `user01_fluorescent`.
fn user(name: &str) -> Option<String> {
    let digits = name.strip_prefix("user")?.split('_').next()?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("user{digits}"))
}

fn class(path: &Path) -> Option<u32> {
    let number = name(path).strip_suffix(".npy")?.parse().ok()?;
    (number < CLASSES.len() as u32).then_some(number)
}

/// The file names in a list; `None` if the list does not exist.
fn trials(root: &Path, list: &str) -> Result<Option<Vec<String>>> {
    let path = root.join(list);
    match read_text(&path) {
        Ok(text) => Ok(Some(text.lines().map(|line| line.trim().to_owned()).collect())),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::file("read", &path, cause)),
    }
}

/// Class, begin and end of each gesture. Classes count from 1 in the file.
fn gestures(path: &Path) -> Result<Vec<(u32, [i64; 2])>> {
    let text = read_text(path).map_err(|cause| Error::file("read", path, cause))?;
    let lines = text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            gesture(line).ok_or_else(|| {
                Error::input(format!(
                    "line {} of {} is {line:?}, but must be class (1 to {}), begin and end (microseconds)",
                    number + 1,
                    path.display(),
                    CLASSES.len()
                ))
            })
        })
        .collect()
}

fn gesture(line: &str) -> Option<(u32, [i64; 2])> {
    let mut fields = line.split(',').map(|field| field.trim().parse::<i64>().ok());
    let (class, from, to) = (fields.next()??, fields.next()??, fields.next()??);
    let class = u32::try_from(class.checked_sub(1)?).ok().filter(|class| *class < CLASSES.len() as u32)?;
    (fields.next().is_none() && 0 <= from && from <= to).then_some((class, [from, to]))
}
