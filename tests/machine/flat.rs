//! Long-running work: memory, files and mappings stay constant, however many programs and data sets come and go. Runs in a separate
//! process, because other tests also allocate. `SPIQ_LONG_TESTS=1` selects the long form: 2,000 programs.

use std::path::{Path, PathBuf};

use spiq::data::{ArrayFile, Binning, Dataset, Reading};
use spiq::pjrt::{Client, ClientOptions, CompileOptions, Platform};
use spiq::{Array, DType};
use spiq_events::MadeUp;

use crate::own_process::{own_process, passes};

/// The resources of this process.
#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: usize,
    files: usize,
    mappings: usize,
    threads: usize,
}

fn held() -> Held {
    let text = |file: &str| std::fs::read_to_string(file).expect("Linux tells it");
    let entries = |folder: &str| std::fs::read_dir(folder).expect("Linux tells it").count();
    let pages = text("/proc/self/statm").split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    Held {
        bytes: pages.expect("a number") * 4096,
        files: entries("/proc/self/fd"),
        mappings: text("/proc/self/maps").lines().count(),
        threads: entries("/proc/self/task"),
    }
}

/// The number of repetitions.
fn rounds(short: usize, long: usize) -> usize {
    if std::env::var_os("SPIQ_LONG_TESTS").is_some_and(|value| value == "1") { long } else { short }
}

/// Warms up with `first` rounds, then measures four stretches of `rounds`. A leak grows in every stretch, so the one with the least
/// growth counts: an allocator that takes a few more megabytes at once is not a leak. The stretch must not retain a file or thread, a
/// mapping per five rounds, or `bytes` per round.
#[track_caller]
fn stays_flat(what: &str, first: usize, rounds: usize, bytes: usize, mut work: impl FnMut(usize)) {
    (0..first).for_each(&mut work);
    let mut seen = vec![held()];
    for stretch in 0..4 {
        let begin = first + stretch * rounds;
        (begin..begin + rounds).for_each(&mut work);
        seen.push(held());
    }
    println!("four times {rounds} {what}: {seen:#?}");
    let least = |of: fn(&Held) -> usize| {
        let grown = seen.windows(2).map(|pair| of(&pair[1]).saturating_sub(of(&pair[0])));
        grown.min().expect("four stretches")
    };
    assert!(least(|held| held.bytes) <= rounds * bytes, "memory grows: {seen:?}");
    assert!(least(|held| held.mappings) <= rounds / 5, "mappings grow: {seen:?}");
    assert_eq!(least(|held| held.files), 0, "files stay open: {seen:?}");
    assert_eq!(least(|held| held.threads), 0, "threads stay: {seen:?}");
}

#[test]
fn programs_come_and_go() {
    passes(&mut own_process(module_path!(), "different_programs"));
}

#[test]
#[ignore = "a part of the test above"]
fn different_programs() {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let options = ClientOptions { executables: Some(cache.path().to_owned()), ..ClientOptions::default() };
    let client = Client::open_with(Platform::Cpu, &options, &mut |_| {}).expect("the processor's plugin");
    // A client keeps its last 64 programs. Leaking one would cost 130 kB.
    stays_flat("programs", 100, rounds(75, 500), 40_000, |number| {
        let text = format!(
            "func.func @main(%x: tensor<64xf32>) -> tensor<64xf32> {{
                 %c = stablehlo.constant dense<{number}.0> : tensor<64xf32>
                 %y = stablehlo.multiply %x, %c : tensor<64xf32>
                 %z = stablehlo.tanh %y : tensor<64xf32>
                 return %z : tensor<64xf32>
             }}"
        );
        drop(client.compile(&text, &CompileOptions::default()).expect("a program"));
    });
}

/// Data sets of several formats, and how to read them.
fn data_sets(folder: &Path) -> [(PathBuf, Reading); 2] {
    let [arrays, events] = ["arrays.safetensors", "events.h5"].map(|name| folder.join(name));
    let mut file = ArrayFile::default();
    let inputs = Array::zeros(spiq::TensorType::new(DType::F32, [64, 100, 100]));
    file.arrays.insert("inputs".into(), inputs);
    file.arrays.insert("labels".into(), Array::new([64], vec![0i32; 64]).expect("labels"));
    file.write(&arrays).expect("a file");
    let made = MadeUp { samples: 20, events: 500, classes: 3, channels: 100, train: 20, first: 0, seed: 1 };
    made.write(&events).expect("a file");
    let binning = Binning { bins: Some(20), ..Binning::default() };
    [(arrays, Reading::default()), (events, Reading { binning, ..Reading::default() })]
}

#[test]
fn data_sets_come_and_go() {
    passes(&mut own_process(module_path!(), "opened_data_sets"));
}

#[test]
#[ignore = "a part of the test above"]
fn opened_data_sets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data_sets = data_sets(folder.path());
    // The first holds 2.5 MB of numbers, the second 160 kB of frames.
    stays_flat("data sets of each of two formats", 20, rounds(50, 250), 20_000, |_| {
        for (path, reading) in &data_sets {
            let data = Dataset::read(path, reading, None, &mut |_, _| {}).expect("a data set");
            assert!(data.count() > 0);
        }
    });
}
