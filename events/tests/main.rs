//! The tests of recordings: readers, transforms, frames.

mod packing;
mod sound;
