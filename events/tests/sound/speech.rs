//! The built-in spoken digits.

use std::fs;
use std::path::Path;

use spiq_events::sound::{Compact, Sound, TICK, compact, speech, speech_cochlea};
use spiq_events::{Collection, Sample};

/// The index of a recording of the Free Spoken Digit Dataset: sorted by index, digit and speaker, the test part last.
fn place(digit: usize, speaker: usize, index: usize) -> usize {
    (if index < 5 { 45 + index } else { index - 5 }) * 50 + digit * 5 + speaker
}

#[test]
fn its_spikes_are_those_of_the_recordings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/recordings");
    for (name, digit, speaker, index) in [("7_jackson_0.wav", 7, 1, 0), ("3_theo_12.wav", 3, 4, 12)] {
        let sound = Sound::parse(&fs::read(folder.join(name)).unwrap(), name).unwrap();
        let events = speech_cochlea().spikes(&sound).unwrap();
        let mut own: Vec<(i64, u16)> = events.t.iter().map(|t| t / TICK * TICK).zip(events.x).collect();
        own.sort_unstable();
        let built_in = speech().nth(place(digit, speaker, index)).unwrap().unwrap();
        assert_eq!((built_in.label, built_in.speaker), (Some(digit as u32), Some(speaker as u32)));
        let kept: Vec<(i64, u16)> = built_in.events.t.into_iter().zip(built_in.events.x).collect();
        assert!(own == kept && own.len() > 500, "{name}: {} and {} spikes", own.len(), kept.len());
    }
}

#[test]
fn each_speaker_says_each_digit_fifty_times() {
    let mut counts = [[[0; 2]; 5]; 10];
    let speech = speech();
    let train = speech.description().train.unwrap();
    for (number, sample) in speech.enumerate() {
        let Sample { events, label, speaker, .. } = sample.unwrap();
        assert!(events.len() > 50 && events.t.is_sorted() && events.x.iter().all(|x| *x < 140), "sample {number}");
        counts[label.unwrap() as usize][speaker.unwrap() as usize][usize::from(number >= train)] += 1;
    }
    assert!(counts.iter().flatten().all(|count| *count == [45, 5]), "{counts:?}");
}

#[test]
fn what_is_written_is_read_again() {
    let again = Compact::parse(&compact(&mut speech()).unwrap()).unwrap();
    assert_eq!(again.description(), speech().description());
    assert!(again.zip(speech()).all(|(one, other)| one.unwrap() == other.unwrap()));
}

#[test]
fn damage_is_an_error() {
    let bytes = compact(&mut speech()).unwrap();
    for end in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
        assert!(Compact::parse(&bytes[..end]).is_err(), "cut off at {end}");
    }
}
