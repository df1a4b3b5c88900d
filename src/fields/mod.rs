//! Reads TOML tables key by key; error messages contain file and line. Invariant: does not depend on particular keys.

mod key;
mod reader;
mod section;

pub(crate) use key::{Key, names};
pub use reader::LARGEST;
pub(crate) use reader::{Field, Fields, Source, read_text};
pub use section::{Described, Section};
pub use spiq_events::nearest;
pub use spiq_events::numbers::in_f32;
