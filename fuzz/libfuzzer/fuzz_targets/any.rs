//! Runs any target under libFuzzer: `SPIQ_FUZZ_TARGET=model cargo fuzz run --fuzz-dir fuzz/libfuzzer any`.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spiq_fuzz::{Target, targets};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SPIQ_FUZZ_TARGET").unwrap_or_else(|_| "model".to_owned());
    targets::named(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

fuzz_target!(|input: &[u8]| {
    (TARGET.read)(input);
});
