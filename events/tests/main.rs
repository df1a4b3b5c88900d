//! The tests of recordings: readers, transforms, frames.

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

/// A recording kept with the tests; `recordings.py` beside it made it.
fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}
