//! Training: the loop, and what it leaves behind: checkpoints, metrics, a picture. Knows nothing of the command line.

mod checkpoint;
mod configuration;
mod evaluation;
mod journal;
mod model;
mod objective;
mod options;
mod prepared;
mod programs;
mod resident;
mod run;
mod start;

pub use crate::optim::Optimizer;
pub use crate::provenance::Length;
pub use crate::record::{Metrics, Record, read_records};
pub use checkpoint::{Checkpoint, prepare_folder};
pub use model::{ForwardPass, Given, Model, Outputs, Purpose};
pub use objective::{Loss, Metric};
pub use options::{Event, Options, Summary};
pub use prepared::steps;
pub(crate) use programs::step_from_spikes;
pub use run::run;
pub use start::checkpoint_in;
