//! Event-camera and cochlea recordings: reads the field's files, applies tonic's transforms, bins events into frames, and encodes sound
//! as spikes.
//!
//! A [`Collection`] is an iterator of [`Sample`]s, so a data set need not fit into memory; [`pack`] bins one into frames.

#[macro_use]
pub mod arguments;

mod binning;
mod calls;
mod collection;
mod error;
mod events;
mod fetch;
mod free_memory;
mod nearest;
pub mod numbers;
mod readers;
mod regular_file;
pub mod sound;
mod survey;
mod time;
mod transforms;
mod writers;

pub use arguments::{Argument, Arguments, Described, Pair, Span};
pub use binning::{Binning, Dropped, Packed, pack};
pub use calls::{Call, calls, split};
pub use collection::{Collection, Description, Mended, Sample};
pub use error::{Error, Result};
pub use events::{Events, Sensor};
pub use fetch::{Progress, Step, fetch};
pub use free_memory::{free_memory, resident_memory};
pub use nearest::nearest;
pub use readers::{Archive, FORMATS, FileFormat, KNOWN, Known, PlainArray, SPEECH, archive_names, open, read_archive};
pub use regular_file::{LONGEST_TEXT, open_file, read_file, read_text};
pub use survey::{Spread, Survey, Surveyed, survey};
pub use transforms::{Pipeline, Transform};
pub use writers::{
    MadeUp, Names, Spikes, check_place, file_beside, put_in_place, remove_leftovers, result_builder, sync_folder,
    write_spikes,
};
