//! Data sets and array files.
//!
//! Invariant: does not depend on training, models or devices.

mod accept;
mod array_file;
mod checksum;
mod codes;
mod coding;
mod dataset;
mod encode;
mod encoder;
mod inputs;
mod npz;
mod part;
mod reading;
mod reference;
mod replace_file;
mod tree_file;

pub use array_file::ArrayFile;
pub use coding::Coding;
pub use dataset::{Dataset, SPEECH_BINNING};
pub(crate) use encode::{Encoding, TEST_GROUP, encoded_features, group_key, test_key};
pub use encoder::{Code, Encoder};
pub use inputs::Inputs;
pub use reading::{DEFAULT_BINS, ReadFile, Reading, array_file, holds_arrays};
pub use reference::keys;
pub(crate) use replace_file::nameless;
pub use replace_file::replace_file;
pub use spiq_events::{Binning, Pipeline};
pub use tree_file::{load, save};
