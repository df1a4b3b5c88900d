//! Where the arrays of a file come from: all that decided their bits, as the file's metadata. Here it is written, read and
//! compared, and nowhere else. Knows nothing of how anything is computed.

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
pub use entry::{Elements, Init, Kernels, Length, ModelText, OnNan, Order, Tile};
pub use judged::{Best, Patience, Validation};

use entry::Entry;
pub(crate) use reading::absolute;

/// The version of this library, which files of earlier versions do not name.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One row an entry: its name in the metadata, its type, what a difference means, how it is called and which flag sets it.
macro_rules! provenance {
    ($($(#[$doc:meta])* $name:ident: $ty:ty, $scope:ident, $words:literal, $flag:literal;)*) => {
        /// What decided the bits of a run's arrays, as far as a file says it. An entry is `None` where it does not, as in files of
        /// earlier versions or of other programs.
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
            /// What the metadata of a file say. `source` names it in messages.
            ///
            /// # Errors
            /// Of kind `Input` for an entry that this version does not understand.
            pub fn read(metadata: &BTreeMap<String, String>, source: &str) -> Result<Provenance> {
                let metadata = &with_the_only_choice(metadata);
                Ok(Provenance { $($name: read_entry(metadata, key::$name, source)?,)* })
            }

            /// What this says, and what another says where this does not.
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
    /// The compiler, in the plugin's own words.
    plugin: String, Surroundings, "plugin", "SPIQ_PJRT_PLUGIN";
    /// What the environment tells XLA beside what the program does.
    xla_flags: String, Surroundings, "XLA_FLAGS", "XLA_FLAGS";
    /// The platform: `cpu`, `cuda`, `tpu`.
    device: String, Outputs, "device", "--device";
    /// What computes loops over time and products with spikes.
    kernels: Kernels, Outputs, "choice of kernels", "SPIQ_NO_KERNELS";
    /// The model.
    model: ModelText, Outputs, "model", "--model";
    /// The rules; none where nothing is quantized.
    rules: Rules, Outputs, "rules", "--rules";
    /// How numbers are rounded.
    numerics: Numerics, Outputs, "numerics", "--numerics";
    /// Element type of the products that no rule quantizes.
    precision: Precision, Outputs, "type of products", "--precision";
    /// Time steps of a sample.
    time_steps: usize, Outputs, "number of time steps", "--time-steps";
    /// As what samples are shown to the network.
    coding: Coding, Outputs, "coding of samples", "--data or --encode";
    /// Frames of a recording of events.
    bins: usize, Outputs, "number of bins", "--bins";
    /// Seconds of a frame.
    dt: f64, Outputs, "duration of a bin", "--dt";
    /// Channels that those of the sensor are summed into.
    channels: usize, Outputs, "number of channels", "--channels";
    /// What an element of a frame says of its events.
    elements: Elements, Outputs, "elements of frames", "--presence";
    /// The transforms of events before they are summed.
    transforms: String, Outputs, "transforms of events", "--transform";
    /// Time steps of a tile.
    time_tile: Tile, Outputs, "time tile", "--time-tile";
    /// Element type of the products that give the gradients.
    grad_dtype: Gradients, Run, "type of gradients' products", "--grad-dtype";
    /// The first step in which rules quantize.
    rules_from: u64, Run, "step from which rules count", "--rules-from-step";
    /// The samples, their labels and their parts.
    data: Digest, Run, "data", "--data";
    /// Where the run started.
    init: Init, Run, "start", "--init";
    /// What initial parameters, order and spikes are drawn from.
    seed: i64, Run, "seed", "--seed";
    /// The optimizer: its name, or the [text](crate::optim::GradientTransformation::describe) of one that no name stands for.
    optimizer: String, Run, "optimizer", "--optimizer";
    /// The learning rate at the start; an optimizer without a name says its own.
    learning_rate: f64, Run, "learning rate", "--learning-rate";
    /// How it goes on, by name.
    schedule: String, Run, "schedule", "--schedule";
    /// What is other for some parameters; `none` where nothing is.
    groups: String, Run, "groups of parameters", "--group";
    /// How gradients are cut; `none` where they are not.
    clip: String, Run, "cut of gradients", "--clip";
    /// Batches of an optimizer's step.
    accumulate: usize, Run, "number of batches a step", "--accumulate";
    /// The share of the parameters' average that a step keeps; 0 where there is no average.
    ema: f64, Run, "average of parameters", "--ema";
    /// The loss.
    loss: String, Run, "loss", "--loss";
    /// Its terms for spike rates; `none` where there are none.
    regularize: String, Run, "regularizers", "--regularize";
    /// What the test measures.
    metric: String, Run, "metric", "--metric";
    /// Samples a step.
    batch_size: usize, Run, "batch size", "--batch-size";
    /// Steps in all: schedule and random numbers depend on it.
    length: Length, Run, "length", "--epochs or --steps";
    /// The order of the samples in each epoch.
    order: Order, Run, "order of samples", "--no-shuffle";
    /// Probability of moving an image.
    shift: f64, Run, "shift", "--shift";
    /// Changes of training samples.
    augment: Augmentation, Run, "augmentation", "--augment";
    /// What is done at a step of which a number is not finite.
    on_nan: OnNan, Run, "answer to numbers that are not finite", "--on-nan";
    /// Which of the training samples choose the best epoch.
    validation: Validation, Run, "validation", "--validation or --folds";
    /// Epochs without a better one after which the run ends.
    patience: Patience, Run, "patience", "--patience";
    /// The speaker whose samples test.
    test_speaker: String, Run, "test speaker", "--test-speaker";
    /// The [identity](Provenance::identity) of the run at its beginning, which all of its files have.
    run: String, Place, "run", "";
    /// What was changed when the run went on, and after which step; none where nothing was.
    changes: String, Place, "changes on the way", "";
    /// Steps that are done.
    step: u64, Place, "step", "";
    /// The best epoch so far.
    best: Best, Place, "best epoch", "";
    /// The file of the data; `None` for the built-in digits. Only a checkpoint says it.
    data_file: PathBuf, Place, "data file", "--data";
    /// The file of the test samples, where it is another one. Only a checkpoint says it.
    test_file: PathBuf, Place, "test file", "--test-data";
}

/// What files of every version say. Others may use such names for something else, so that only a file that says which version
/// wrote it is asked for the rest.
const EARLY: [&str; 5] = [key::model, key::rules, key::numerics, key::grad_dtype, key::step];

/// What earlier versions do not say of a run, as there was no choice.
const ONLY_CHOICE: [(&str, &str); 12] = [
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

/// The metadata of a run, with what its version left no choice of.
fn with_the_only_choice(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut whole = metadata.clone();
    if metadata.contains_key(key::step) {
        // What is no network of the library's says nothing of its products.
        let of_network = metadata.contains_key(key::rules).then_some((key::precision, "f32"));
        let only = ONLY_CHOICE.into_iter().chain(of_network);
        only.for_each(|(name, only)| _ = whole.entry(name.into()).or_insert_with(|| only.into()));
    }
    whole
}

/// A plugin in its own words.
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
    /// What a network and the device that computes it decide.
    pub fn of(network: &Network, client: &Client) -> Provenance {
        Provenance::of_network(network).or(Provenance::of_client(client))
    }

    /// What the device that computes decides.
    pub fn of_client(client: &Client) -> Provenance {
        Provenance {
            spiq: Some(VERSION.to_owned()),
            plugin: Some(plugin(client)),
            xla_flags: Some(client.xla_flags().to_owned()),
            device: Some(client.platform_name().to_owned()),
            kernels: Some(if client.kernels().is_some() { Kernels::Spiq } else { Kernels::Xla }),
            ..Provenance::default()
        }
    }

    /// What a network decides.
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

    /// What tells this run from others: 16 hexadecimal digits of a hash of all that decides its bits, so that two runs of one identity are
    /// the same bit for bit, last bits of other compilers aside.
    pub fn identity(&self) -> String {
        let mut sum = Sha256::new();
        for Row { name, text, .. } in self.rows().iter().filter(|row| row.scope != Scope::Place) {
            let text = text.as_deref().unwrap_or_default();
            sum.update(format!("{name} {}\n{text}\n", text.len()));
        }
        sum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The same without the paths of data: files of parameters are given away, and where their data once lay is nobody's business.
    #[must_use]
    pub fn without_places(self) -> Provenance {
        Provenance { data_file: None, test_file: None, ..self }
    }

    /// Adds what is known to the metadata of a file.
    pub fn write(&self, metadata: &mut BTreeMap<String, String>) {
        let known = self.rows().into_iter().filter_map(|row| Some((row.name.to_owned(), row.text?)));
        metadata.extend(known);
        metadata.entry(key::spiq.to_owned()).or_insert_with(|| VERSION.to_owned());
    }

    /// What is known, in the order of the entries: name, flag (empty where none sets it), text.
    pub fn entries(&self) -> Vec<(&'static str, &'static str, String)> {
        self.rows().into_iter().filter_map(|row| Some((row.name, row.flag, row.text?))).collect()
    }

    /// In what `now` is another than this, in the order of the entries; what one of them does not know is left out.
    pub fn differences(&self, now: &Provenance) -> Vec<Difference> {
        let pairs = self.rows().into_iter().zip(now.rows());
        pairs.filter_map(|(then, now)| Difference::between(then, now)).collect()
    }

    /// Those differences that make `now` another run. That the data are others is left out where it is said why.
    pub fn differences_of_run(&self, now: &Provenance) -> Vec<Difference> {
        let mut all = self.differences(now);
        let why = all.iter().any(|difference| difference::OF_SAMPLES.contains(&difference.name));
        all.retain(|difference| difference.decides_a_run() && !(why && difference.name == difference::DATA));
        all
    }

    /// Names of what this does not say, but `wanted` does.
    pub fn missing(&self, wanted: &Provenance) -> Vec<&'static str> {
        let pairs = self.rows().into_iter().zip(wanted.rows());
        let missing = pairs.filter(|(own, other)| own.text.is_none() && other.text.is_some());
        missing.filter(|(own, _)| matches!(own.scope, Scope::Run | Scope::Outputs)).map(|(own, _)| own.name).collect()
    }

    /// That `now` goes on with the run that left this in the file `source`, to the same bits.
    ///
    /// # Errors
    /// Of kind `Input`, with the name and both values of everything in which it does not.
    pub fn check_same_run(&self, now: &Provenance, source: &str) -> Result<()> {
        let of_run: Vec<String> = self.differences_of_run(now).iter().map(ToString::to_string).collect();
        match of_run.is_empty() {
            true => Ok(()),
            false => Err(Error::input(format!(
                "{source} is of a run with {}; resume with what it was begun with (all that no flag says is taken from it), \
                 go on with the changes by --allow-changes, or start anew elsewhere",
                of_run.join(" and ")
            ))),
        }
    }
}
