//! The options of a training run, its events and its summary.

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

/// Default limit on the time that a crash may cost, for [`Options::checkpoint_every`].
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// A training run of a network or of another [`Model`]. Built as `Options { length, ..Options::new(…) }`.
#[derive(Clone, Debug)]
pub struct Options<M: ?Sized = Network> {
    /// Training samples.
    pub train: Dataset,
    /// Test samples.
    pub test: Dataset,
    /// The training samples that are held out to choose the best epoch.
    pub validation: Validation,
    /// Number of epochs without improvement after which the run ends; requires a [validation](Options::validation).
    pub patience: Patience,
    /// The optimizer, or any gradient transformation.
    pub optimizer: Optimizer,
    /// The training loss.
    pub loss: Loss,
    /// The metric of the test.
    pub metric: Metric,
    /// Samples per step.
    pub batch_size: usize,
    /// The number of devices that share each step, in all processes together: the first ones of the client, each with an equal part of the
    /// batch. The results are those of one device, except that sums of floats over the batch are added in another order.
    pub devices: usize,
    /// The length of the run.
    pub length: Length,
    /// The first step in which the network's rules quantize; earlier steps are unquantized and gather the statistics of static scales.
    /// Tests always use the quantized network. 0: from the start.
    pub rules_from: usize,
    /// Time steps over which images are encoded; data with a time axis keep their own.
    pub time_steps: usize,
    /// Probability with which a training image is shifted one pixel to the left, and likewise to the right, up and down; 0 never shifts.
    /// From 0 to 0.5.
    pub shift: f64,
    /// Augmentations of training samples in the compiled step, drawn from the step's key: applied to the stored batch if it has a time
    /// axis, to images after encoding.
    pub augment: Augmentation,
    /// The response to a step with a non-finite loss, gradient, parameter or statistic. Every step checks its values, except with
    /// [`OnNan::Continue`]; as long as all values are finite, the results are bit-identical for all choices.
    pub on_nan: OnNan,
    /// Steps per device call, without involving the host; at the end of an epoch there may be fewer. `None`: as many as take a tenth of a
    /// second, up to 32. The results are bit-identical for any number.
    pub steps_per_call: Option<usize>,
    /// Whether to shuffle the samples anew in each epoch.
    pub shuffle: bool,
    /// The seed of initial values, sample order and encoding.
    pub seed: i64,
    /// A file with initial parameters to use instead of random ones.
    pub init: Option<PathBuf>,
    /// Whether these may contain infinite or NaN values.
    pub allow_nonfinite: bool,
    /// Whether to also write the history for TensorBoard.
    pub tensorboard: bool,
    /// The folder for the results.
    pub out: PathBuf,
    /// Whether to resume from the checkpoint in `out`, with a result bit-identical to that of an uninterrupted run. Everything that
    /// determines the bits must be unchanged; [`Provenance`](crate::provenance::Provenance) reads it from the checkpoint. Initial
    /// parameters, if given again, must be the same as before.
    pub resume: bool,
    /// Whether a resumed run may differ from how it was started. Differences are reported as an [event](Event::Note) and recorded in the
    /// files of the run from then on.
    pub allow_changes: bool,
    /// The time that a crash may cost: checkpoints are written concurrently with training, often enough that one is in place before this
    /// much training time has passed. They are less frequent if they would take more than a fiftieth of the training time, or half of the
    /// disk's time.
    pub checkpoint_every: Duration,
    /// The model: a network with its rules, or a user-defined one.
    pub model: M,
}

impl<M: Model> Options<M> {
    /// A run with its results in the folder `out`: adam with a constant learning rate of 2e-3 on the integral cross-entropy, batches of 64,
    /// shuffled anew in each epoch, 20 epochs, images over 32 time steps, no shift or augmentation, seed 0. Its test measures the accuracy.
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
            devices: 1,
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

/// The events of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message for the user, as a sentence: a checkpoint that cannot be written or is damaged, or what was changed.
    Note(String),
    /// The training step is being compiled (or taken from the cache).
    Compiling,
    /// Steps were sent to the device, or are done.
    Step {
        /// Steps so far, counted from the start of the run.
        done: usize,
        /// Total number of steps.
        total: usize,
        /// The latest known loss; it may be several steps old, since the host does not wait for the device.
        loss: Option<f32>,
    },
    /// A step was skipped because one of its values was not finite ([`OnNan::Skip`]).
    Skipped {
        /// The step, from 0.
        step: usize,
        /// Number of steps skipped in this run, including this one.
        skipped: usize,
    },
    /// An epoch is done.
    Epoch {
        /// The epoch, from 1.
        epoch: usize,
        /// Mean loss of its steps.
        train_loss: f32,
        /// The mean of the [metric](Options::metric) over the test samples: by default the fraction that is classified correctly.
        test_accuracy: f32,
        /// The same over the validation samples, if there are any.
        validation_accuracy: Option<f32>,
        /// Whether it is the best epoch so far on the validation samples.
        is_best: bool,
    },
}

/// The outcome of a run.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// The mean of the [metric](Options::metric) over the test samples with the quantized network: by default the fraction that is
    /// classified correctly.
    pub test_accuracy: f32,
    /// The same over the validation samples, if there are any.
    pub validation_accuracy: Option<f32>,
    /// The best epoch on the validation samples, whose parameters are in `best.safetensors`; `None` without validation, or before the end
    /// of the first epoch.
    pub best: Option<Best>,
    /// Whether it ended early because no epoch improved on the best one within the [patience](Options::patience).
    pub stopped_early: bool,
    /// For each layer that fires, by its path, the mean number of spikes per neuron and step over the test samples.
    pub spike_rates: BTreeMap<String, f32>,
    /// Number of steps in this run.
    pub steps: usize,
    /// Seconds of training and testing, including compilation.
    pub seconds: f64,
    /// Number of steps skipped because a value was not finite ([`OnNan::Skip`]).
    #[serde(default)]
    pub skipped: usize,
    /// Training steps per second, including the tests after epochs but not compilation.
    pub steps_per_second: f64,
    /// Whether it was stopped early; its progress is saved.
    pub interrupted: bool,
    /// The first process that was asked to stop early; 0 in a single process.
    #[serde(skip)]
    pub stopped_by: Option<usize>,
    /// The run's [identity](crate::provenance::Provenance::identity); `None` in files of earlier versions.
    #[serde(default)]
    pub run: Option<String>,
    /// The files written: parameters, those of the best epoch, checkpoint, metrics, plot; for a network also its model and rules.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}
