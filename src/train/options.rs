//! What a training run is told, and what it tells. Knows nothing of how it is typed or shown.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::model::Model;
use super::objective::{Loss, Metric};
use crate::augment::Augmentation;
use crate::data::Dataset;
use crate::network::Network;
use crate::optim::Optimizer;
use crate::provenance::{Best, Length, OnNan, Patience, Validation};

/// Where nothing else is said, a crash costs no more steps than are done in this time.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// A training run of a network, or of another [`Model`]. Built as `Options { length, ..Options::new(…) }`.
#[derive(Clone, Debug)]
pub struct Options<M: ?Sized = Network> {
    /// Training samples.
    pub train: Dataset,
    /// Test samples.
    pub test: Dataset,
    /// Which training samples do not train, but choose the best epoch.
    pub validation: Validation,
    /// After how many epochs without a better one the run ends; it needs a [validation](Options::validation).
    pub patience: Patience,
    /// The optimizer, or any gradient transformation.
    pub optimizer: Optimizer,
    /// What training makes small.
    pub loss: Loss,
    /// What the test measures.
    pub metric: Metric,
    /// Samples a step.
    pub batch_size: usize,
    /// How long.
    pub length: Length,
    /// The first step in which the rules of the network quantize; before it nothing is quantized, and statistics of static scales
    /// are gathered. The test is of the quantized network all along. 0: from the start.
    pub rules_from: usize,
    /// Time steps that images are encoded over; data that have a time axis of their own keep that.
    pub time_steps: usize,
    /// Probability with which a training image is moved by one pixel to the left, likewise to the right, up and down; 0
    /// leaves images where they are. From 0 to 0.5.
    pub shift: f64,
    /// Changes of training samples in the compiled step, drawn from the step's key: of a batch with a time axis as it is stored,
    /// of images after their encoding.
    pub augment: Augmentation,
    /// What is done at a step whose loss, or of which a gradient, a parameter or a statistic is not finite. Each step looks at its
    /// own, but for [`OnNan::Continue`]; as long as all is finite, the results are the same bits for each of them.
    pub on_nan: OnNan,
    /// Steps that the device does in one call, without the host; at the end of an epoch there may be fewer. `None`: as many
    /// as take a tenth of a second, up to 32. The results are the same bits for any number.
    pub steps_per_call: Option<usize>,
    /// Whether each epoch has its own order.
    pub shuffle: bool,
    /// What initial values, order and encoding are drawn from.
    pub seed: i64,
    /// Initial parameters from here instead of drawn ones.
    pub init: Option<PathBuf>,
    /// Whether those may hold numbers that are infinite or NaN.
    pub allow_nonfinite: bool,
    /// Whether the history is also written for TensorBoard.
    pub tensorboard: bool,
    /// Where the results go.
    pub out: PathBuf,
    /// Whether to go on from the checkpoint in `out`, to bitwise the same end as an uninterrupted run. Everything that decides
    /// its bits must be as it was; [`Provenance`](crate::provenance::Provenance) reads it from the checkpoint. Initial parameters,
    /// if they are named again, must be those of before.
    pub resume: bool,
    /// Whether a run that goes on may be another than it was begun as. What is other is told by an [event](Event::Note) and stands in the
    /// files of the run from then on.
    pub allow_changes: bool,
    /// How much of a run's time a crash may cost: a checkpoint is written, beside the training, so often that one is in place before steps of
    /// this long are done. Less often where that would take a fiftieth of the time from the training, or half of it from the disk.
    pub checkpoint_every: Duration,
    /// The model: a network with its rules, or one of one's own.
    pub model: M,
}

impl<M: Model> Options<M> {
    /// A run that leaves its results in the folder `out`: adam with a constant rate of 2e-3 on the integral cross-entropy, batches
    /// of 64 in an order of their own each epoch, 20 epochs, images over 32 time steps, nothing shifted or augmented, seed 0. Its test
    /// measures the accuracy.
    pub fn new(model: M, train: Dataset, test: Dataset, out: impl Into<PathBuf>) -> Options<M> {
        Options {
            model,
            train,
            test,
            validation: Validation::None,
            patience: Patience::None,
            optimizer: Optimizer::named("adam", 2e-3, "constant").expect("both are in their tables"),
            loss: Loss::default(),
            metric: Metric::default(),
            batch_size: 64,
            length: Length::Epochs(20),
            rules_from: 0,
            time_steps: 32,
            shift: 0.0,
            augment: Augmentation::default(),
            on_nan: OnNan::Stop,
            steps_per_call: None,
            shuffle: true,
            seed: 0,
            init: None,
            allow_nonfinite: false,
            tensorboard: false,
            out: out.into(),
            resume: false,
            allow_changes: false,
            checkpoint_every: CHECKPOINT_EVERY,
        }
    }
}

/// What happens during a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something that whoever watches the run should know, as a sentence: a checkpoint that cannot be written, one that is damaged, what
    /// was changed.
    Note(String),
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
    /// A step was skipped, since a number of it was not finite ([`OnNan::Skip`]).
    Skipped {
        /// Which step, from 0.
        step: usize,
        /// How many this run has skipped with it.
        skipped: usize,
    },
    /// An epoch is done.
    Epoch {
        /// Which, from 1.
        epoch: usize,
        /// Mean loss of its steps.
        train_loss: f32,
        /// The mean of the [metric](Options::metric) over the test samples: the part that is classified correctly, unless
        /// another metric is given.
        test_accuracy: f32,
        /// That over the validation samples, where there are some.
        validation_accuracy: Option<f32>,
        /// Whether it is the best epoch so far by these.
        is_best: bool,
    },
}

/// How a run ended.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// The mean of the [metric](Options::metric) over the test samples, by the quantized network: the part that is classified
    /// correctly, unless another metric is given.
    pub test_accuracy: f32,
    /// That over the validation samples, where there are some.
    pub validation_accuracy: Option<f32>,
    /// The best epoch by these, whose parameters are in `best.safetensors`; `None` without validation, or before the first epoch ended.
    pub best: Option<Best>,
    /// Whether it ended early, since no epoch was better than the best one for [so long](Options::patience).
    pub stopped_early: bool,
    /// For each layer that fires, by its path, the mean number of spikes a neuron and step over the test samples.
    pub spike_rates: BTreeMap<String, f32>,
    /// Steps done in this run.
    pub steps: usize,
    /// Seconds of training and testing, compilation included.
    pub seconds: f64,
    /// How many of them were skipped, since a number was not finite ([`OnNan::Skip`]).
    #[serde(default)]
    pub skipped: usize,
    /// Training steps a second, with the tests after epochs, without compilation.
    pub steps_per_second: f64,
    /// Whether it was stopped before its end; what was done is saved.
    pub interrupted: bool,
    /// What [tells the run from others](crate::provenance::Provenance::identity); `None` in files of earlier versions.
    #[serde(default)]
    pub run: Option<String>,
    /// The files written: parameters, the best epoch's, checkpoint, metrics, picture; of a network its model and rules.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}
