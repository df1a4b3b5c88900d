//! What a training run is told, and what it tells. Knows nothing of how it is typed or shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::data::Dataset;
use crate::network::Network;

/// An optimizer with optax's defaults, but for the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimizer {
    /// `optax.adam`.
    Adam,
    /// `optax.adamw`.
    Adamw,
    /// `optax.lion`.
    Lion,
    /// `optax.sgd` without momentum.
    Sgd,
}

impl Optimizer {
    /// The optimizer of this name, as it is displayed: optax's.
    pub fn from_name(name: &str) -> Option<Optimizer> {
        let all = [Optimizer::Adam, Optimizer::Adamw, Optimizer::Lion, Optimizer::Sgd];
        all.into_iter().find(|optimizer| optimizer.to_string() == name)
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Optimizer::Adam => "adam",
            Optimizer::Adamw => "adamw",
            Optimizer::Lion => "lion",
            Optimizer::Sgd => "sgd",
        })
    }
}

/// How the learning rate goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// The same all along.
    Constant,
    /// `optax.cosine_decay_schedule` over all steps.
    Cosine,
}

impl Schedule {
    /// The schedule of this name, as it is displayed.
    pub fn from_name(name: &str) -> Option<Schedule> {
        [Schedule::Constant, Schedule::Cosine].into_iter().find(|schedule| schedule.to_string() == name)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Schedule::Constant => "constant",
            Schedule::Cosine => "cosine",
        })
    }
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Times through the training samples.
    Epochs(usize),
    /// Training steps.
    Steps(usize),
}

/// A training run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model and its rules.
    pub network: Network,
    /// Training samples.
    pub train: Dataset,
    /// Test samples.
    pub test: Dataset,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The (first) learning rate.
    pub learning_rate: f64,
    /// How it goes from there.
    pub schedule: Schedule,
    /// Samples a step.
    pub batch_size: usize,
    /// How long.
    pub length: Length,
    /// Time steps that images are encoded over; data that have a time axis of their own keep that.
    pub time_steps: usize,
    /// Probability with which a training image is moved by one pixel to the left, likewise to the right, up and down; 0
    /// leaves images where they are. From 0 to 0.5.
    pub shift: f64,
    /// Steps that the device does in one call, without the host; at the end of an epoch there may be fewer. `None`: as many
    /// as take a tenth of a second, up to 32. The results are the same bits for any number.
    pub steps_per_call: Option<usize>,
    /// Whether each epoch has its own order.
    pub shuffle: bool,
    /// What initial values, order and encoding are drawn from.
    pub seed: i64,
    /// Initial parameters from here instead of drawn ones.
    pub init: Option<PathBuf>,
    /// Where the results go.
    pub out: PathBuf,
    /// Whether to go on from the checkpoint in `out`, to bitwise the same end as an uninterrupted run. Everything that decides
    /// its bits must be as it was; [`Provenance`](crate::provenance::Provenance) reads it from the checkpoint. Initial parameters,
    /// if they are named again, must be those of before.
    pub resume: bool,
}

impl Options {
    /// A run that leaves its results in the folder `out`: adam with a constant rate of 2e-3, batches of 64 in an order of their own
    /// each epoch, 20 epochs, images over 32 time steps and not shifted, seed 0.
    pub fn new(network: Network, train: Dataset, test: Dataset, out: impl Into<PathBuf>) -> Options {
        Options {
            network,
            train,
            test,
            optimizer: Optimizer::Adam,
            learning_rate: 2e-3,
            schedule: Schedule::Constant,
            batch_size: 64,
            length: Length::Epochs(20),
            time_steps: 32,
            shift: 0.0,
            steps_per_call: None,
            shuffle: true,
            seed: 0,
            init: None,
            out: out.into(),
            resume: false,
        }
    }
}

/// What happens during a run.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The training step is being compiled (or taken from the cache).
    Compiling,
    /// Steps are on their way to the device, or done.
    Step {
        /// Steps so far, counted from the start of the run.
        done: usize,
        /// Steps in all.
        total: usize,
        /// The latest loss that is known; it may be some steps old, since the device is not waited for.
        loss: Option<f32>,
    },
    /// An epoch is done.
    Epoch {
        /// Which, from 1.
        epoch: usize,
        /// Mean loss of its steps.
        train_loss: f32,
        /// Part of the test samples that are classified rightly.
        test_accuracy: f32,
    },
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Part of the test samples that are classified rightly, by the quantized network.
    pub test_accuracy: f32,
    /// For each layer that fires, by its path, the mean number of spikes a neuron and step over the test samples.
    pub spike_rates: BTreeMap<String, f32>,
    /// Steps done in this run.
    pub steps: usize,
    /// Seconds of training and testing, compilation included.
    pub seconds: f64,
    /// Training steps a second, with the tests after epochs, without compilation.
    pub steps_per_second: f64,
    /// Whether it was stopped before its end; what was done is saved.
    pub interrupted: bool,
    /// The files written: parameters, checkpoint, metrics, picture.
    pub files: Vec<PathBuf>,
}
