//! Training: the loop and its outputs, which are checkpoints, metrics and a plot.
//!
//! [`run`](run()) trains a [`Model`]: a [`Network`](crate::network::Network) with its rules, an [`nn::Sequential`](crate::nn::Sequential)
//! with custom layers, or anything that records a forward pass. Optimizer, loss and metric are chosen by name or user-defined:
//!
//! ```
//! use spiq::optim::{Optimizer, adam, chain, clip_by_global_norm, cosine_decay_schedule};
//! use spiq::nn::{integral_crossentropy, silence_reg};
//! use spiq::prelude::*;
//! use spiq::train::{Length, Loss, Metric, Options};
//!
//! let layers = r#"layers = [
//!     { type = "Linear", in_features = 64, out_features = 24 },
//!     { type = "LIF", hidden_shape = 24, activation = { type = "triangular" } },
//!     { type = "ActivityRegularization", hidden_shape = 24 }, # counts spikes for the loss
//!     { type = "Linear", in_features = 24, out_features = 10 },
//!     { type = "LI", layer_shape = 10 },
//! ]"#;
//! let network = Network::new(ModelConfig::parse(layers, "model.toml")?, linear_only_rules("int8", "int8"))?;
//! let folder = tempfile::tempdir()?;
//! let (train_part, test_part) = Dataset::digits().split()?;
//! let options = Options {
//!     // Receives the number of steps when the run begins.
//!     optimizer: Optimizer::of_steps(|steps| {
//!         chain([clip_by_global_norm(1.0).into(), adam(cosine_decay_schedule(4e-3, steps)).into()])
//!     }),
//!     // The description must contain everything that determines the result: `resume` refuses a different one.
//!     loss: Loss::new("integral_crossentropy + 0.01 silence_reg(2)", |outputs, labels| {
//!         let count = &outputs.states["core/layers/2/spike_count"];
//!         integral_crossentropy(&outputs.traces, labels) + 0.01 * silence_reg(count, 2.0)
//!     }),
//!     // One number per sample; the test reports their mean.
//!     metric: Metric::new("largest_sum", |outputs, _| outputs.traces.tensor().reduce_sum([0]).reduce_max([1])),
//!     length: Length::Epochs(1),
//!     time_steps: 8,
//!     ..Options::new(network, train_part, test_part, folder.path())
//! };
//! let summary = train::run(&Client::cpu()?, &options, &false.into(), &mut |_| {})?;
//! assert!(summary.test_accuracy.is_finite()); // the mean of `largest_sum`
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/own_training.rs` also has a custom layer.
//!
//! Invariant: does not depend on the command line.

mod checkpoint;
mod checkpoints;
mod configuration;
mod evaluate;
mod evaluation;
mod finite;
mod folder;
mod journal;
mod model;
mod objective;
mod operations;
mod options;
mod prepared;
mod programs;
mod resident;
mod resume;
mod run;
mod start;
mod state;
mod together;
mod validation;

pub use crate::optim::Optimizer;
pub use crate::provenance::{Best, Length, OnNan, Patience, Validation};
pub use crate::record::{Metrics, Record, TensorBoard, read_records};
pub use checkpoint::{Checkpoint, check_finite};
pub use checkpoints::{checkpoint_in, checkpoint_with_note, has_checkpoint, naming_the_older};
pub use evaluate::{Conditions, Evaluated, evaluate};
pub use folder::{FolderLock, LOCK, prepare_folder};
pub use model::{ForwardPass, Given, Model, Outputs, Purpose};
pub use objective::{Loss, Metric};
pub use operations::{Counted, Operations};
pub use options::{CHECKPOINT_EVERY, Event, Options, Summary};
pub use prepared::steps;
pub(crate) use programs::step_from_spikes;
pub use run::run;
pub use start::{RUN_FILES, check_options, differences_from_checkpoint, finished};
pub use state::TrainState;
