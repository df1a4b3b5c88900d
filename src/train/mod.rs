//! Training: the loop, and what it leaves behind: checkpoints, metrics, a picture. Knows nothing of the command line.

mod checkpoint;
mod encode;
mod evaluation;
mod journal;
mod metrics;
mod options;
mod programs;
mod resident;
mod run;
mod start;

pub use checkpoint::{Checkpoint, prepare_folder};
pub(crate) use encode::{Encoding, TEST_GROUP, group_key, test_key};
pub use metrics::{Metrics, Record, read_records};
pub use options::{Event, Length, Optimizer, Options, Schedule, Summary};
pub(crate) use programs::step_from_spikes;
pub use run::run;
pub use start::checkpoint_in;
