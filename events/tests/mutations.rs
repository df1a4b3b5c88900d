//! Mutated files: readers never panic, and never allocate more memory than a file can need.

use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;
use spiq_events::{Binning, Pipeline, open, pack};

use super::{aedat4, reference};

/// Small recordings of each format, with a name that identifies it.
static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let names = [
        "earliest.h5",
        "latest.h5",
        "chunked.h5",
        "untidy.h5",
        "written.h5",
        "rows.npy",
        "fields.npy",
        "camera.npz",
        "cochlea.npz",
        "user01_led.aedat",
    ];
    let mut files: Vec<_> = names.iter().map(|name| (*name, fs::read(reference(name)).unwrap())).collect();
    files.push(("a.bin", fs::read(reference("sample_nmnist.bin")).unwrap()[..500].to_vec()));
    let events = [(5, 0, 0, true), (6, 33, 20, false)];
    files.extend([0, 1, 3].map(|compression| ("a.aedat4", aedat4::file(compression, [34, 21], &events))));
    files
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 2 * ProptestConfig::default().cases, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_are_read_or_refused(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..6),
        length in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (name, bytes) = file.get(&FILES);
        let mut bytes = bytes.clone();
        for (place, value, how) in changes {
            let at = place.index(bytes.len());
            match how {
                // Lengths and offsets are in the leading bytes of structures; large ones end in 0xff.
                0 => bytes[at] = 0xff,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => bytes[at] = value,
                _ => bytes.insert(at, value),
            }
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        // A file that can be read can also be packed, unless the binning is refused.
        if let Ok(collection) = open(&path) {
            let binning = Binning { bins: Some(3), dt: Some(0.01), channels: Some(1), ..Binning::default() };
            _ = pack(collection, &Pipeline::default(), &binning, &mut |_, _| ());
        }
    }
}
