//! Recordings of events and sound, by file extension.

use spiq_events::sound::Sound;
use spiq_events::{Binning, Pipeline, open, pack};

use super::{Target, as_file};
use crate::corpus::file;

/// Opens a recording and bins it.
fn packed(name: &str, input: &[u8]) -> bool {
    as_file(name, input, |path| {
        let Ok(collection) = open(path) else { return false };
        let binning = Binning { bins: Some(3), dt: Some(0.01), channels: Some(1), ..Binning::default() };
        pack(collection, &Pipeline::default(), &binning, &mut |_, _| ()).is_ok()
    })
}

fn of(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| file(&format!("events/tests/reference/{name}"))).collect()
}

/// Files in the layout of SHD.
pub const HDF5: Target = Target {
    name: "hdf5",
    read: |input| packed("a.h5", input),
    corpus: || of(&["earliest.h5", "latest.h5", "chunked.h5", "untidy.h5", "written.h5"]),
};

/// NumPy files.
pub const NUMPY: Target = Target {
    name: "numpy",
    read: |input| packed(if input.starts_with(b"PK") { "a.npz" } else { "a.npy" }, input),
    corpus: || of(&["rows.npy", "fields.npy", "camera.npz", "cochlea.npz"]),
};

/// AEDAT camera files.
pub const AEDAT: Target = Target {
    name: "aedat",
    read: |input| packed(if input.starts_with(b"#!AER-DAT4") { "a.aedat4" } else { "a.aedat" }, input),
    corpus: || of(&["user01_led.aedat"]),
};

/// Five bytes per event, as in N-MNIST.
pub const EVENTS: Target = Target {
    name: "events",
    read: |input| packed("a.bin", input),
    corpus: || vec![file("events/tests/reference/sample_nmnist.bin")[..500].to_vec()],
};

/// WAV files.
pub const SOUND: Target =
    Target { name: "sound", read: |input| Sound::parse(input, "0_george_0.wav").is_ok(), corpus: || vec![wave()] };

/// A hundredth of a second of sound at 8 kHz, 16 bits.
fn wave() -> Vec<u8> {
    let samples: Vec<u8> = (0..80_i16).flat_map(|t| ((t % 16 - 8) * 1000).to_le_bytes()).collect();
    let size = samples.len() as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(8000_u32.to_le_bytes());
    bytes.extend(16000_u32.to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(size.to_le_bytes());
    bytes.extend(samples);
    bytes
}
