//! Converts sound to spikes: WAV files, a cochlea, the spoken-digits data set.
//!
//! The pipeline follows B. Cramer, Y. Stradmann, J. Schemmel and F. Zenke, "The Heidelberg Spiking Data Sets for the Systematic
//! Evaluation of Spiking Neural Networks", IEEE TNNLS 2020 (arXiv:1910.07407), and its program lauscher: normalized loudness, a basilar
//! membrane, hair cells, bushy cells. [`Cochlea`] documents the simplifications.

mod bushy_cell;
mod cochlea;
mod compact;
mod filter_bank;
mod hair_cell;
mod recordings;
mod speech;
mod wav;

pub use cochlea::{Channel, Cochlea};
pub use compact::{Compact, TICK, compact};
pub use recordings::{Recordings, SpikeTrains};
pub use speech::{speech, speech_cochlea};
pub use wav::Sound;

/// Channels computed together, so that the compiler vectorizes the loops over them.
const LANES: usize = 16;

/// One number per lane, for neighbouring channels.
type Lanes = [f32; LANES];
