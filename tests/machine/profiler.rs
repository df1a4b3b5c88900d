//! Profiling through the public interface: which plugins support it, and the error if there is nothing to record.
//! `SPIQ_TEST_DEVICE=cuda` records on a card.

use crate::skipped::skipped;
use spiq::pjrt::{Buffer, Client, CompileOptions, Input, Platform, Plugin, Profiler, find};
use spiq::{Array, Error, ErrorKind};

#[test]
fn a_plugin_without_a_profiler_says_so() {
    let client = Client::cpu().expect("a CPU client");
    fails(client.plugin().profiler(), ErrorKind::Plugin, " has no profiler; use one with PJRT's profiler extension");
}

/// Every call of the interface. Without a card a recording contains no kernel, and the error states what is needed.
#[test]
fn the_plugin_for_cuda_records() {
    if find(Platform::Cuda).is_none() {
        return skipped("the plugin for CUDA is not there (spiq plugin install cuda13)");
    }
    let profiler = Plugin::of(Platform::Cuda).and_then(Plugin::profiler).expect("a profiler");
    if std::env::var("SPIQ_TEST_DEVICE").is_ok_and(|device| device == "cuda") {
        return on_the_card(profiler);
    }
    let mut runs = 0;
    // Recordings can follow each other.
    for _ in 0..2 {
        let work = || {
            runs += 1;
            Ok(())
        };
        fails(profiler.record(work), ErrorKind::Plugin, "recorded no operations; it needs NVIDIA's CUPTI");
    }
    assert_eq!(runs, 2);
    fails(profiler.record(|| Err(Error::input("the work failed"))), ErrorKind::Input, "the work failed");
    let inner = profiler.record(|| profiler.record(|| Ok(())).map(drop));
    fails(inner, ErrorKind::Input, "another profile is being recorded");
}

/// A program with one kernel, run three times.
fn on_the_card(profiler: Profiler) {
    let client = Client::open(Platform::Cuda).expect("a card");
    let text = "func.func @main(%x: tensor<1024xf32>) -> tensor<1024xf32> {
        %y = stablehlo.sine %x : tensor<1024xf32>
        return %y : tensor<1024xf32>
    }";
    let sine = client.compile(text, &CompileOptions::default()).expect("a valid program");
    let x = client.to_device(&Array::new([1024], vec![1f32; 1024]).expect("a vector")).expect("room for it");
    let run = || sine.execute(vec![Input::Borrow(&x)])?.iter().try_for_each(Buffer::wait);
    let profile = profiler.record(|| (0..3).try_for_each(|_| run())).expect("a profile");
    assert!(profile.operations.iter().any(|o| o.launches == 3 && !o.time.is_zero()), "{profile:?}");
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: spiq::Result<T>, kind: ErrorKind, words: &str) {
    let error = result.expect_err("an error");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "`{error}` does not say `{words}`");
}
