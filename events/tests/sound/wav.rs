//! Valid and invalid WAV files.

use hound::{SampleFormat, WavSpec};
use spiq_events::sound::Sound;

use super::{spec, wav};

fn parse(bytes: &[u8]) -> Result<Sound, String> {
    Sound::parse(bytes, "a.wav").map_err(|error| error.to_string())
}

#[test]
fn all_widths_and_floats_are_read() {
    for bits in [8u16, 16, 24, 32] {
        let full = 1i64 << (bits - 1);
        let samples = [0, full / 2, -full, full - 1].map(|sample| sample as i32);
        let bytes = wav(WavSpec { bits_per_sample: bits, ..spec() }, |writer| {
            samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
        });
        let sound = parse(&bytes).unwrap();
        assert_eq!((&sound.samples[..3], sound.rate), (&[0.0, 0.5, -1.0][..], 8000), "{bits} bits");
        assert!((0.99..=1.0).contains(&sound.samples[3]));
    }
    let floats = WavSpec { bits_per_sample: 32, sample_format: SampleFormat::Float, sample_rate: 16000, ..spec() };
    let bytes = wav(floats, |writer| [0.25f32, -0.5].iter().for_each(|x| writer.write_sample(*x).unwrap()));
    assert_eq!(parse(&bytes).unwrap(), Sound { samples: vec![0.25, -0.5], rate: 16000 });
}

#[test]
fn channels_become_their_mean() {
    let bytes = wav(WavSpec { channels: 2, ..spec() }, |writer| {
        [16384i16, 0, -16384, -16384].iter().for_each(|x| writer.write_sample(*x).unwrap());
    });
    assert_eq!(parse(&bytes).unwrap().samples, [0.25, -0.5]);
}

#[test]
fn bad_files_are_refused_in_a_sentence() {
    let good = wav(spec(), |writer| (0..100i16).for_each(|x| writer.write_sample(x).unwrap()));
    let nan = WavSpec { bits_per_sample: 32, sample_format: SampleFormat::Float, ..spec() };
    for (bytes, sentence) in [
        (good[..good.len() - 51].to_vec(), "a.wav ends before its last sample; copy it again"),
        (good[..20].to_vec(), "a.wav ends before its last sample; copy it again"),
        (Vec::new(), "a.wav ends before its last sample; copy it again"),
        (
            b"MP3 is not WAV, whatever its name".to_vec(),
            "a.wav is not a usable WAV file (no RIFF tag found); save it as 16-bit PCM",
        ),
        (wav(spec(), |_| {}), "a.wav contains no sound; remove it or record it again"),
        (wav(nan, |writer| writer.write_sample(f32::NAN).unwrap()), "a.wav holds NaN as sample 0; record it again"),
    ] {
        assert_eq!(parse(&bytes).unwrap_err(), sentence);
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let good =
        wav(WavSpec { channels: 2, ..spec() }, |writer| (0..20i16).for_each(|x| writer.write_sample(x).unwrap()));
    for place in 0..good.len() {
        for value in [0, 1, 2, 3, 7, 33, 127, 128, 254, 255] {
            let mut bytes = good.clone();
            bytes[place] = value;
            // Either result is fine, a panic is not.
            let _ = parse(&bytes);
        }
        assert!(parse(&good[..place]).is_err(), "cut off at {place}");
    }
}
