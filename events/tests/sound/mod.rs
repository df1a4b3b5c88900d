//! Tests of the conversion of sound to spikes.

mod cochlea;
mod recordings;
mod speech;
mod wav;

use spiq_events::sound::Sound;

/// A tone of this frequency at 8 kHz.
fn tone(frequency: f32, samples: u16) -> Sound {
    let at = |i: u16| 0.3 * (std::f32::consts::TAU * frequency * f32::from(i) / 8000.0).sin();
    Sound { samples: (0..samples).map(at).collect(), rate: 8000 }
}

/// The contents of a WAV file.
fn wav(spec: hound::WavSpec, write: impl FnOnce(&mut hound::WavWriter<&mut std::io::Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a header");
    write(&mut writer);
    writer.finalize().expect("in memory");
    bytes.into_inner()
}

/// The usual format: mono, 8 kHz, 16 bits.
fn spec() -> hound::WavSpec {
    hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int }
}
