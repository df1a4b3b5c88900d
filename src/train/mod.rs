//! Training: the loop, and what it leaves behind: checkpoints, metrics, a picture. Knows nothing of the command line.

mod checkpoint;
mod metrics;
mod options;
mod picture;

pub use checkpoint::{Checkpoint, prepare_folder};
pub use metrics::{Metrics, Record, read_records};
pub use options::{Event, Length, Optimizer, Options, Schedule, Summary};
pub use picture::picture;
