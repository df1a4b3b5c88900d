//! The provenance of a file's arrays: everything that determined their bits, stored as the file's metadata. It is written, read and
//! compared only here.

mod difference;
mod digest;
mod entry;
mod judged;
mod reading;

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::augment::Augmentation;
use crate::data::Coding;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::pjrt::Client;
use crate::quant::{Gradients, Numerics, Precision, Rules};

pub use difference::{Difference, Scope};
pub use digest::Digest;
pub use entry::{Elements, Init, Kernels, Length, MatmulPrecision, ModelText, OnNan, Order, Tile};
pub use judged::{Best, Patience, Validation};

use entry::Entry;
pub(crate) use reading::absolute;

/// The version of this library, which files of earlier versions do not record.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One row per entry: its metadata key, its type, the effect of a difference, its name in messages and the flag that sets it.
macro_rules! provenance {
    ($($(#[$doc:meta])* $name:ident: $ty:ty, $scope:ident, $words:literal, $flag:literal;)*) => {
        /// Everything that determined the bits of a run's arrays, as recorded in a file. An entry is `None` if it is not recorded, as in
        /// files of earlier versions or of other programs.
        ///
        /// ```
        /// use spiq::provenance::Provenance;
        /// let (mut then, mut metadata) = (Provenance::default(), Default::default());
        /// then.seed = Some(1);
        /// then.write(&mut metadata);
        /// let read = Provenance::read(&metadata, "P.safetensors")?;
        /// assert_eq!(read.seed, Some(1));
        /// let now = Provenance { seed: Some(2), batch_size: Some(64), ..Provenance::default() };
        /// let [difference] = &read.differences(&now)[..] else { panic!("the batch size is not known of both") };
        /// assert_eq!(difference.to_string(), "another seed (--seed: 1 there, 2 here)");
        /// # Ok::<(), spiq::Error>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Provenance {
            $($(#[$doc])* pub $name: Option<$ty>,)*
        }

        /// The names of the entries.
        #[allow(non_upper_case_globals, reason = "they are called as the fields are")]
        pub mod key {
            $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: &str = stringify!($name);)*
        }

        impl Provenance {
            /// Reads the metadata of a file. `source` names it in messages.
            ///
            /// # Errors
            /// Kind `Input` for an entry that this version does not understand.
            pub fn read(metadata: &BTreeMap<String, String>, source: &str) -> Result<Provenance> {
                let metadata = &with_the_only_choice(metadata);
                Ok(Provenance { $($name: read_entry(metadata, key::$name, source)?,)* })
            }

            /// These entries, with missing ones taken from another provenance.
            #[must_use]
            pub fn or(self, other: Provenance) -> Provenance {
                Provenance { $($name: self.$name.or(other.$name),)* }
            }

            fn rows(&self) -> Vec<Row> {
                vec![$(Row {
                    name: key::$name,
                    scope: Scope::$scope,
                    words: $words,
                    flag: $flag,
                    text: self.$name.as_ref().map(Entry::text),
                },)*]
            }
        }
    };
}

/// One entry, as text.
struct Row {
    name: &'static str,
    scope: Scope,
    words: &'static str,
    flag: &'static str,
    text: Option<String>,
}

provenance! {
    /// The version of this library.
    spiq: String, Surroundings, "version of spiq", "";
    /// The compiler, as reported by the plugin.
    plugin: String, Surroundings, "plugin", "SPIQ_PJRT_PLUGIN";
    /// The XLA flags from the environment, and those that the program adds to them.
    xla_flags: String, Surroundings, "XLA_FLAGS", "XLA_FLAGS";
    /// The number of devices that share each step.
    devices: usize, Surroundings, "number of devices", "--devices";
    /// The platform: `cpu`, `cuda`, `tpu`.
    device: String, Outputs, "device", "--device";
    /// The code that computes time loops and spike products.
    kernels: Kernels, Outputs, "choice of kernels", "SPIQ_NO_KERNELS";
    /// The model.
    model: ModelText, Outputs, "model", "--model";
    /// The rules; none if nothing is quantized.
    rules: Rules, Outputs, "set of rules", "--rules";
    /// How numbers are rounded.
    numerics: Numerics, Outputs, "choice of numerics", "--numerics";
    /// Precision of products of f32.
    matmul_precision: MatmulPrecision, Outputs, "precision of f32 products", "--matmul-precision";
    /// Element type of products that no rule quantizes.
    precision: Precision, Outputs, "dtype of products", "--precision";
    /// Number of time steps in a sample.
    time_steps: usize, Outputs, "number of time steps", "--time-steps";
    /// The encoding in which samples are presented to the network.
    coding: Coding, Outputs, "coding of samples", "--data or --encode";
    /// Number of frames in an event recording.
    bins: usize, Outputs, "number of bins", "--bins";
    /// Duration of a frame in seconds.
    dt: f64, Outputs, "duration of a bin", "--dt";
    /// Number of channels into which the sensor's channels are summed.
    channels: usize, Outputs, "number of channels", "--channels";
    /// The meaning of a frame's elements.
    elements: Elements, Outputs, "kind of frame elements", "--presence";
    /// Transforms applied to events before they are summed.
    transforms: String, Outputs, "set of event transforms", "--transform";
    /// Number of time steps in a tile.
    time_tile: Tile, Outputs, "time tile", "--time-tile";
    /// Element type of the products that compute gradients.
    grad_dtype: Gradients, Run, "dtype of gradient products", "--grad-dtype";
    /// The first step at which rules quantize.
    rules_from: u64, Run, "step at which rules start", "--rules-from-step";
    /// The samples and labels, and how they are split.
    data: Digest, Run, "data", "--data";
    /// The initial parameters.
    init: Init, Run, "initialization", "--init";
    /// The seed of initial parameters, sample order and spikes.
    seed: i64, Run, "seed", "--seed";
    /// The optimizer: its name, or the [text](crate::optim::GradientTransformation::describe) of one without a name.
    optimizer: String, Run, "optimizer", "--optimizer";
    /// The initial learning rate; an optimizer without a name includes it in its text.
    learning_rate: f64, Run, "learning rate", "--learning-rate";
    /// The learning-rate schedule, by name.
    schedule: String, Run, "schedule", "--schedule";
    /// Settings that differ for some parameters; `none` if there are none.
    groups: String, Run, "set of parameter groups", "--group";
    /// How gradients are clipped; `none` if they are not.
    clip: String, Run, "gradient-clipping setting", "--clip";
    /// Number of batches per optimizer step.
    accumulate: usize, Run, "number of batches per step", "--accumulate";
    /// The fraction of the parameter average that a step keeps; 0 without averaging.
    ema: f64, Run, "parameter average", "--ema";
    /// The loss.
    loss: String, Run, "loss", "--loss";
    /// Regularizers for spike rates; `none` if there are none.
    regularize: String, Run, "set of regularizers", "--regularize";
    /// The metric of the test.
    metric: String, Run, "metric", "--metric";
    /// Samples per step.
    batch_size: usize, Run, "batch size", "--batch-size";
    /// Total length, on which schedule and random numbers depend.
    length: Length, Run, "length", "--epochs or --steps";
    /// The order of the samples in each epoch.
    order: Order, Run, "sample order", "--no-shuffle";
    /// Probability of shifting an image.
    shift: f64, Run, "shift", "--shift";
    /// Augmentation of training samples.
    augment: Augmentation, Run, "augmentation", "--augment";
    /// The handling of steps with a non-finite number.
    on_nan: OnNan, Run, "handling of non-finite numbers", "--on-nan";
    /// The training samples that choose the best epoch.
    validation: Validation, Run, "validation", "--validation or --folds";
    /// Number of epochs without improvement after which the run ends.
    patience: Patience, Run, "patience", "--patience";
    /// The speaker whose samples are the test set.
    test_speaker: String, Run, "test speaker", "--test-speaker";
    /// The [identity](Provenance::identity) of the run at its start, the same in all of its files.
    run: String, Place, "run", "";
    /// The settings changed when the run was resumed, and after which step; none if nothing changed.
    changes: String, Place, "list of changes", "";
    /// Number of completed steps.
    step: u64, Place, "step", "";
    /// The best epoch so far.
    best: Best, Place, "best epoch", "";
    /// The data file; `None` for the built-in digits. Only in checkpoints.
    data_file: PathBuf, Place, "data file", "--data";
    /// The file of test samples, if it is a separate one. Only in checkpoints.
    test_file: PathBuf, Place, "test file", "--test-data";
}

/// Entries in files of every version. Other programs may use these names for something else, so the remaining entries are read
/// only from a file that records the version that wrote it.
const EARLY: [&str; 5] = [key::model, key::rules, key::numerics, key::grad_dtype, key::step];

/// Entries that earlier versions did not record because there was only one choice.
const ONLY_CHOICE: [(&str, &str); 13] = [
    (key::devices, "1"),
    (key::rules_from, "0"),
    (key::loss, "integral_crossentropy"),
    (key::metric, "integral_accuracy"),
    (key::regularize, "none"),
    (key::groups, "none"),
    (key::clip, "none"),
    (key::accumulate, "1"),
    (key::ema, "0"),
    (key::augment, "none"),
    (key::on_nan, "stop"),
    (key::validation, "none"),
    (key::patience, "none"),
];

/// The metadata of a run, completed with the entries for which its version had only one choice.
fn with_the_only_choice(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut whole = metadata.clone();
    if metadata.contains_key(key::step) {
        // Only networks of this library have an entry for the precision of products.
        let of_network = metadata.contains_key(key::rules).then_some((key::precision, "f32"));
        let only = ONLY_CHOICE.into_iter().chain(of_network);
        only.for_each(|(name, only)| _ = whole.entry(name.into()).or_insert_with(|| only.into()));
    }
    whole
}

/// A plugin's description of itself.
fn plugin(client: &Client) -> String {
    let (major, minor) = client.plugin().version();
    format!("PJRT {major}.{minor}, {}", client.platform_version())
}

fn read_entry<T: Entry>(metadata: &BTreeMap<String, String>, name: &str, source: &str) -> Result<Option<T>> {
    let ours = metadata.contains_key(key::spiq);
    let Some(text) = metadata.get(name).filter(|_| ours || EARLY.contains(&name)) else { return Ok(None) };
    match T::parse(text) {
        Some(value) => Ok(Some(value)),
        None if !ours && name == key::rules => Ok(None),
        None => Err(Error::input(format!(
            "{source}: its metadata say that `{name}` is `{}`, which this version of spiq does not understand",
            difference::short(text)
        ))),
    }
}

impl Provenance {
    /// The entries determined by a network and the device that computes it.
    pub fn of(network: &Network, client: &Client) -> Provenance {
        Provenance::of_network(network).or(Provenance::of_client(client))
    }

    /// The entries determined by the device.
    pub fn of_client(client: &Client) -> Provenance {
        Provenance {
            spiq: Some(VERSION.to_owned()),
            plugin: Some(plugin(client)),
            xla_flags: Some(client.xla_flags().to_owned()),
            device: Some(client.platform_name().to_owned()),
            matmul_precision: Some(match client.full_precision() {
                true => MatmulPrecision::Highest,
                false => MatmulPrecision::Default,
            }),
            kernels: Some(if client.kernels().is_some() { Kernels::Spiq } else { Kernels::Xla }),
            ..Provenance::default()
        }
    }

    /// The entries determined by a network.
    pub fn of_network(network: &Network) -> Provenance {
        Provenance {
            model: Some(ModelText::of(network.config())),
            rules: Some(network.rules().clone()),
            numerics: Some(network.numerics()),
            grad_dtype: Some(network.gradients()),
            precision: Some(network.precision()),
            ..Provenance::default()
        }
    }

    /// Identifies this run: 16 hexadecimal digits of a hash of everything that determines its bits. Two runs with the same identity are
    /// bit-identical, apart from the last bits if the compilers differ.
    pub fn identity(&self) -> String {
        let mut sum = Sha256::new();
        for Row { name, text, .. } in self.rows().iter().filter(|row| row.scope != Scope::Place) {
            let text = text.as_deref().unwrap_or_default();
            sum.update(format!("{name} {}\n{text}\n", text.len()));
        }
        sum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same without the paths of data: parameter files are shared, and should not reveal where the data was stored.
    #[must_use]
    pub fn without_places(self) -> Provenance {
        Provenance { data_file: None, test_file: None, ..self }
    }

    /// Adds the recorded entries to the metadata of a file.
    pub fn write(&self, metadata: &mut BTreeMap<String, String>) {
        let known = self.rows().into_iter().filter_map(|row| Some((row.name.to_owned(), row.text?)));
        metadata.extend(known);
        metadata.entry(key::spiq.to_owned()).or_insert_with(|| VERSION.to_owned());
    }

    /// The recorded entries, in order: name, flag (empty if none sets it), text.
    pub fn entries(&self) -> Vec<(&'static str, &'static str, String)> {
        self.rows().into_iter().filter_map(|row| Some((row.name, row.flag, row.text?))).collect()
    }

    /// The entries in which `now` differs, in order; entries missing from either are skipped.
    pub fn differences(&self, now: &Provenance) -> Vec<Difference> {
        let pairs = self.rows().into_iter().zip(now.rows());
        pairs.filter_map(|(then, now)| Difference::between(then, now)).collect()
    }

    /// The differences that make `now` another run. A difference in the data is omitted if another entry explains it.
    pub fn differences_of_run(&self, now: &Provenance) -> Vec<Difference> {
        let mut all = self.differences(now);
        let why = all.iter().any(|difference| difference::OF_SAMPLES.contains(&difference.name));
        all.retain(|difference| difference.decides_a_run() && !(why && difference.name == difference::DATA));
        all
    }

    /// Names of entries that are missing here but present in `wanted`.
    pub fn missing(&self, wanted: &Provenance) -> Vec<&'static str> {
        let pairs = self.rows().into_iter().zip(wanted.rows());
        let missing = pairs.filter(|(own, other)| own.text.is_none() && other.text.is_some());
        missing.filter(|(own, _)| matches!(own.scope, Scope::Run | Scope::Outputs)).map(|(own, _)| own.name).collect()
    }

    /// Checks that `now` continues, bit-identically, the run that left this in the file `source`.
    ///
    /// # Errors
    /// Kind `Input`, with the name and both values of every difference.
    pub fn check_same_run(&self, now: &Provenance, source: &str) -> Result<()> {
        let of_run: Vec<String> = self.differences_of_run(now).iter().map(ToString::to_string).collect();
        match of_run.is_empty() {
            true => Ok(()),
            false => Err(Error::input(format!(
                "{source} belongs to a run with {}; resume with its original settings (those not given as flags are read from the file), \
                 accept the changes with --allow-changes, or start a new run elsewhere",
                of_run.join(" and ")
            ))),
        }
    }
}
