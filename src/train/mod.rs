//! What a training run leaves behind: checkpoints, metrics, a picture. Knows nothing of the command line.

mod checkpoint;
mod metrics;
mod picture;

pub use checkpoint::{Checkpoint, prepare_folder};
pub use metrics::{Metrics, Record, read_records};
pub use picture::picture;
