//! Sound to spikes: WAV files, a cochlea, the data set of spoken digits.
//!
//! The pipeline is that of B. Cramer, Y. Stradmann, J. Schemmel and F. Zenke, "The Heidelberg Spiking Data Sets for the Systematic
//! Evaluation of Spiking Neural Networks", IEEE TNNLS 2020 (arXiv:1910.07407), and of its program lauscher: loudness made equal,
//! a basilar membrane, hair cells, bushy cells. [`Cochlea`] says what is simplified.

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

/// Channels that are computed side by side: the compiler makes vector instructions of loops over them.
const LANES: usize = 16;

/// A number for each of some neighbouring channels.
type Lanes = [f32; LANES];
