//! Training: the loop, and what it leaves behind: checkpoints, metrics, a picture. Knows nothing of the command line.

mod checkpoint;
mod evaluation;
mod journal;
mod options;
mod programs;
mod resident;
mod run;
mod start;

pub use crate::record::{Metrics, Record, read_records};
pub use checkpoint::{Checkpoint, prepare_folder};
pub use options::{Event, Length, Optimizer, Options, Schedule, Summary};
pub(crate) use programs::step_from_spikes;
pub use run::run;
pub use start::checkpoint_in;
