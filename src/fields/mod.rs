//! Reads TOML tables key by key, with complaints that name file and line. Depends on no particular key.

mod reader;

pub use reader::LARGEST;
pub(crate) use reader::{Field, Fields, Source, read_text};
pub use spiq_events::nearest;
pub use spiq_events::numbers::in_f32;
