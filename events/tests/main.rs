//! Tests of recordings: readers, transforms, frames, sound.

mod aedat4;
mod bad_inputs;
mod edges;
mod fetch;
mod mutations;
mod packing;
mod readers;
mod sound;
mod transforms;

use std::path::{Path, PathBuf};

/// A recording stored with the tests, made by `recordings.py` beside it.
fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}
