//! Reads TOML tables key by key, with complaints that name file and line. Depends on no particular key.

mod reader;

pub(crate) use reader::{Field, Fields, Source, read_text};
pub use reader::{LARGEST, in_f32};
pub use spiq_events::nearest;
