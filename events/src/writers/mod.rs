//! Writes recordings in the field's formats.

mod hdf5;
mod made_up;
mod shd;

pub use made_up::MadeUp;
pub use shd::{Names, Spikes, check_place, result_builder, write_spikes};
