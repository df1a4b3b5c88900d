//! Recipes for `spiq train`: defaults for the settings that no flag gives.

use std::path::PathBuf;

use clap::ValueEnum;
use spiq::augment::Augmentation;
use spiq::config::ModelConfig;
use spiq::data::Binning;
use spiq::provenance::{Elements, ModelText, Provenance};
use spiq::quant::{Rules, linear_only_rules};
use spiq::train::Length;

/// The recipes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// tuned for the built-in digits
    Digits,
    /// tuned for the built-in spoken digits
    Speech,
    /// what the Python stack (Spyx and qwix) does on the digits
    Spyx,
    /// for the Spiking Heidelberg Digits: adaptive neurons, BatchNorm, axonal delays
    Shd,
    /// for the Spiking Speech Commands: like shd, but wider
    Ssc,
    /// for the Spiking Heidelberg Digits: synaptic delays as published (DCLS), in full precision
    ShdDcls,
}

/// A model and its training settings.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The data it is for.
    pub data: Data,
    /// The text of its model.toml.
    pub model: &'static str,
    /// Quantized types of the weights of all products, and of their activations; none for full precision.
    pub rules: Option<(&'static str, &'static str)>,
    /// The optimizer, by name.
    pub optimizer: &'static str,
    /// Its learning rate.
    pub learning_rate: f64,
    /// The learning-rate schedule, by name.
    pub schedule: &'static str,
    /// Parameter groups, in the form of `--group`.
    pub groups: &'static str,
    /// The loss, by name.
    pub loss: &'static str,
    /// Samples per step.
    pub batch_size: usize,
    /// Passes over the training set.
    pub epochs: usize,
    /// Time steps over which images are encoded.
    pub time_steps: usize,
    /// Probability of shifting a training image by one pixel, per direction.
    pub shift: f64,
    /// Augmentations, in the form of `--augment`.
    pub augment: &'static str,
}

/// The data of a recipe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Data {
    /// The built-in handwritten digits.
    Digits,
    /// The built-in spoken digits, with this binning.
    Speech(&'static Binning),
    /// User-supplied files, with this binning.
    Files {
        /// The data set's name.
        called: &'static str,
        /// How events become frames.
        frames: &'static Binning,
    },
}

impl Data {
    /// Whether the data set is built in.
    pub fn is_built_in(self) -> bool {
        !matches!(self, Data::Files { .. })
    }

    /// The settings that a run on this data records.
    fn provenance(self) -> Provenance {
        let (data_file, &Binning { bins, dt, channels, .. }) = match self {
            // The digits are the default, so nothing is recorded.
            Data::Digits => return Provenance::default(),
            Data::Speech(frames) => (Some(PathBuf::from("speech")), frames),
            Data::Files { frames, .. } => (None, frames),
        };
        Provenance { data_file, bins, dt, channels, elements: Some(Elements::Counts), ..Provenance::default() }
    }
}

impl Name {
    /// The recipe of this name.
    pub fn recipe(self) -> Recipe {
        match self {
            Name::Digits => DIGITS,
            Name::Speech => SPEECH,
            Name::Spyx => SPYX,
            Name::Shd => SHD,
            Name::Ssc => SSC,
            Name::ShdDcls => SHD_DCLS,
        }
    }
}

/// Wider than the Python stack's model, smaller batches, a learning rate that decays to zero, and small image shifts, because the test
/// digits are by other writers. Tuned empirically on seeds 0 to 2: see benches/RESULTS.md.
const DIGITS: Recipe = Recipe {
    model: include_str!("recipes/digits.toml"),
    learning_rate: 4e-3,
    schedule: "cosine",
    batch_size: 32,
    epochs: 30,
    shift: 0.06,
    ..SPYX
};

/// For voices that are not in the training data. The architecture was chosen empirically, holding out the speakers george and lucas: see
/// benches/RESULTS.md. Each channel sums three: one frequency at three sensitivities of the cochlea.
const SPEECH: Recipe = Recipe {
    data: Data::Speech(&SPEECH_FRAMES),
    model: include_str!("recipes/speech.toml"),
    loss: "ce_mean_loss(smoothing = 0.1)",
    batch_size: 64,
    epochs: 30,
    shift: 0.0,
    augment: "TimeSkew(coefficient = [0.82, 1.22]), TimeShift(max = 4), ChannelShift(max = 3), \
              SpectralDrop(p = 0.5, max = 0.8), LowCut(max = 16)",
    ..DIGITS
};

/// Frames of 28 ms, 47 frequencies.
const SPEECH_FRAMES: Binning = Binning { bins: Some(32), dt: Some(0.028), channels: Some(47), presence: false };

const SPYX: Recipe = Recipe {
    data: Data::Digits,
    model: include_str!("recipes/spyx.toml"),
    rules: Some(("int8", "int8")),
    optimizer: "adam",
    learning_rate: 2e-3,
    schedule: CONSTANT,
    groups: NONE,
    loss: "integral_crossentropy",
    batch_size: 64,
    epochs: 20,
    time_steps: 32,
    shift: 0.0,
    augment: NONE,
};

/// No groups or augmentations.
const NONE: &str = "none";

/// Frames of 10 ms in 140 channels, each the sum of 5 of the 700, as in nearly all published results.
const SHD_FRAMES: Binning = Binning { bins: Some(100), dt: Some(0.01), channels: Some(140), presence: false };

/// Adaptive neurons, normalization, and a learned delay of each neuron's output, which takes a hundredth of the products of synaptic
/// delays.
const SHD: Recipe = Recipe {
    data: Data::Files { called: "SHD", frames: &SHD_FRAMES },
    model: include_str!("recipes/shd.toml"),
    optimizer: "adamw(weight_decay = 1e-5)",
    learning_rate: 5e-3,
    schedule: "cosine_onecycle",
    groups: "group(path = \"delay\", learning_rate = 0.1, schedule = \"cosine\", weight_decay = 0), \
             group(path = \"scale|bias\", weight_decay = 0)",
    loss: "ce_softmax_sum_loss",
    batch_size: 128,
    epochs: 60,
    augment: "TimeShift(max = 5), ChannelShift(max = 4)",
    ..SPYX
};

/// Like SHD's, but wider, for 35 words and nine times as many samples.
const SSC: Recipe = Recipe {
    data: Data::Files { called: "SSC", frames: &SHD_FRAMES },
    model: include_str!("recipes/ssc.toml"),
    epochs: 40,
    ..SHD
};

/// The published setup of Hammouamri et al. 2023 (arXiv:2306.17670) for SHD: a learned delay per synapse, and all memory in the delays.
/// Their weight decay is added to the gradient, here it is decoupled; the Gaussians shrink every step, theirs every epoch.
const SHD_DCLS: Recipe = Recipe {
    model: include_str!("recipes/shd-dcls.toml"),
    rules: None,
    batch_size: 256,
    epochs: 150,
    augment: NONE,
    ..SHD
};

/// The schedule of runs that do not follow the recipe.
pub const CONSTANT: &str = "constant";

impl Recipe {
    /// The recipe as the settings that a run records.
    pub fn provenance(&self) -> Provenance {
        let model = ModelConfig::parse(self.model, "the recipe's model").expect("a model");
        let rules = self.rules.map_or_else(Vec::new, |(weights, activations)| linear_only_rules(weights, activations));
        Provenance {
            model: Some(ModelText::of(&model)),
            rules: Some(Rules::new(&rules).expect("the recipe's rules")),
            optimizer: Some(self.optimizer.to_owned()),
            learning_rate: Some(self.learning_rate),
            schedule: Some(self.schedule.to_owned()),
            groups: Some(self.groups.to_owned()),
            loss: Some(self.loss.to_owned()),
            batch_size: Some(self.batch_size),
            length: Some(Length::Epochs(self.epochs)),
            time_steps: Some(self.time_steps),
            shift: Some(self.shift),
            augment: Some(Augmentation::parse(self.augment).expect("the recipe's augmentation")),
            ..self.data.provenance()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_fit_their_data() {
        for name in Name::value_variants() {
            let recipe = name.recipe();
            let model = ModelConfig::parse(recipe.model, "recipe").expect("a model");
            let wanted = match (name, recipe.data) {
                (_, Data::Digits) => (64, 10),
                (_, Data::Speech(frames)) => (frames.channels.unwrap_or(140), 10),
                (Name::Ssc, Data::Files { .. }) => (140, 35),
                (_, Data::Files { .. }) => (140, 20),
            };
            assert_eq!((model.inputs(), model.outputs()), wanted, "{name:?}");
            assert!(super::super::learning::Chosen::of(&recipe.provenance()).is_ok(), "{name:?}");
        }
    }
}
