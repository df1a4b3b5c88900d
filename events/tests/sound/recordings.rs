//! Recordings in folders and archives.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use spiq_events::sound::{Cochlea, Recordings};
use spiq_events::{Collection, Sample};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{spec, tone, wav};

fn recording(frequency: f32) -> Vec<u8> {
    let samples = tone(frequency, 800).samples;
    wav(spec(), |writer| samples.iter().for_each(|x| writer.write_sample((x * 32767.0) as i16).unwrap()))
}

fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (place, name) in names.iter().enumerate() {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, recording(300.0 + 200.0 * place as f32)).unwrap();
    }
    folder
}

fn refusal(path: &Path) -> String {
    Recordings::open(path).err().expect("a refusal").to_string()
}

fn cochlea() -> Cochlea {
    Cochlea { channels: 20, ..Cochlea::default() }
}

#[test]
fn names_say_label_speaker_and_part() {
    let folder =
        folder(&["in/7_ann_5.wav", "in/3_bob_4.WAV", "3_ann_12.wav", "7_bob_0.wav", "notes.txt", "in/._3_ann_1.wav"]);
    let spikes = Recordings::open(folder.path()).unwrap().spikes(cochlea()).unwrap();
    let description = spikes.description().clone();
    assert_eq!((description.count, description.train), (4, Some(2)));
    assert_eq!(description.classes, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(description.speakers, ["ann", "bob"]);
    let who: Vec<(u32, u32)> =
        spikes.map(|sample| sample.unwrap()).map(|s| (s.label.unwrap(), s.speaker.unwrap())).collect();
    assert_eq!(who, [(7, 0), (3, 0), (7, 1), (3, 1)]);
}

#[test]
fn words_are_numbered_in_the_order_of_the_alphabet() {
    let folder = folder(&["yes_1.wav", "no_2.wav", "no_of_course_not.wav"]);
    let spikes = Recordings::open(folder.path()).unwrap().spikes(cochlea()).unwrap();
    let description = spikes.description().clone();
    assert_eq!(
        (description.classes, description.speakers, description.train),
        (vec!["no".into(), "yes".into()], vec![], None)
    );
    assert_eq!(spikes.filter_map(|sample| sample.unwrap().label).collect::<Vec<_>>(), [0, 0, 1]);
}

#[test]
fn an_archive_gives_what_a_folder_gives() {
    let names: Vec<String> = (0..70).map(|i| format!("{}_ann_{}.wav", i % 7, i / 7)).collect();
    let folder = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let path = folder.path().join("all.zip");
    let mut archive = ZipWriter::new(File::create(&path).unwrap());
    for name in names.iter().rev() {
        archive.start_file(format!("recordings/{name}"), SimpleFileOptions::default()).unwrap();
        archive.write_all(&fs::read(folder.path().join(name)).unwrap()).unwrap();
    }
    archive.finish().unwrap();
    let samples = |path: &Path| -> Vec<Sample> {
        let mut spikes = Recordings::open(path).unwrap().spikes(cochlea()).unwrap();
        let first = spikes.next().unwrap().unwrap();
        spikes.restart().unwrap();
        let all: Vec<Sample> = spikes.map(|sample| sample.unwrap()).collect();
        assert_eq!(all[0], first);
        all
    };
    let (of_folder, of_archive) = (samples(folder.path()), samples(&path));
    assert!(of_folder == of_archive && of_folder.len() == 70);
    assert!(of_folder.iter().all(|sample| !sample.events.is_empty()));
}

#[test]
fn what_holds_no_recordings_is_refused() {
    let empty = folder(&[]);
    assert!(refusal(empty.path()).ends_with(" has no WAV files in it"), "{}", refusal(empty.path()));
    assert!(refusal(&empty.path().join("none")).starts_with("cannot read "));
    let unnamed = folder(&["seven.wav"]);
    assert!(refusal(unnamed.path()).contains("seven.wav has no label: a label is the file's name up to the first `_`"));
    let unlabelled = folder(&["_1.wav"]);
    assert!(refusal(unlabelled.path()).contains("has no label"));
    let file = unnamed.path().join("seven.wav");
    assert!(refusal(&file).contains("is neither a folder nor a usable zip archive"), "{}", refusal(&file));
}

#[test]
fn a_bad_recording_is_named() {
    let folder = folder(&["1_a.wav", "2_a.wav"]);
    let bad = folder.path().join("2_a.wav");
    let bytes = fs::read(&bad).unwrap();
    fs::write(&bad, &bytes[..bytes.len() - 100]).unwrap();
    let mut spikes = Recordings::open(folder.path()).unwrap().spikes(cochlea()).unwrap();
    assert!(spikes.next().unwrap().is_ok());
    let error = spikes.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, format!("{} ends before its last sample; copy it again", bad.display()));
}
