//! Writes recordings in the field's formats.

mod beside;
mod hdf5;
mod made_up;
mod shd;

pub use beside::{file_beside, put_in_place, remove_leftovers, result_builder, sync_folder};
pub use made_up::MadeUp;
pub use shd::{Names, Spikes, check_place, write_spikes};
