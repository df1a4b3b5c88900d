//! Recipes for `spiq train`: what it does where no flag says otherwise, as data. Knows nothing of how it is done.

use clap::ValueEnum;
use spiq::augment::Augmentation;
use spiq::config::ModelConfig;
use spiq::provenance::{ModelText, Provenance};
use spiq::quant::{Rules, linear_only_rules};
use spiq::train::Length;

/// The recipes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// tuned for the built-in digits
    Digits,
    /// what the Python stack (Spyx and qwix) does on the digits
    Spyx,
}

/// A model and how it is trained.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Neurons in each of the two hidden layers of its model.
    pub hidden: usize,
    /// Quantized type of the weights of all dot products.
    pub weights: &'static str,
    /// Quantized type of their activations.
    pub activations: &'static str,
    /// The optimizer, by name.
    pub optimizer: &'static str,
    /// Its learning rate.
    pub learning_rate: f64,
    /// How that goes on, by name.
    pub schedule: &'static str,
    /// The loss, by name.
    pub loss: &'static str,
    /// Samples a step.
    pub batch_size: usize,
    /// Times through the training samples.
    pub epochs: usize,
    /// Time steps that images are encoded over.
    pub time_steps: usize,
    /// Probability of moving a training image by a pixel, in each direction.
    pub shift: f64,
    /// Changes of training samples, as `--augment` takes them.
    pub augment: &'static str,
}

impl Name {
    /// The recipe of this name.
    pub fn recipe(self) -> Recipe {
        match self {
            Name::Digits => DIGITS,
            Name::Spyx => SPYX,
        }
    }
}

/// Wider than the Python stack's, in smaller batches, with a rate that goes down to zero; images are moved a little, since
/// the test's writers are others. Found by trying, on seeds 0 to 2: see benches/RESULTS.md.
const DIGITS: Recipe =
    Recipe { hidden: 192, learning_rate: 4e-3, schedule: "cosine", batch_size: 32, epochs: 30, shift: 0.06, ..SPYX };

const SPYX: Recipe = Recipe {
    hidden: 128,
    weights: "int8",
    activations: "int8",
    optimizer: "adam",
    learning_rate: 2e-3,
    schedule: CONSTANT,
    loss: "integral_crossentropy",
    batch_size: 64,
    epochs: 20,
    time_steps: 32,
    shift: 0.0,
    augment: "none",
};

/// The schedule of a run that is not the recipe's.
pub const CONSTANT: &str = "constant";

impl Recipe {
    /// The recipe as what decides a run.
    pub fn provenance(&self) -> Provenance {
        let model = ModelConfig::parse(&self.model(), "the recipe's model").expect("a model");
        Provenance {
            model: Some(ModelText::of(&model)),
            rules: Some(Rules::new(&linear_only_rules(self.weights, self.activations)).expect("the recipe's rules")),
            optimizer: Some(self.optimizer.to_owned()),
            learning_rate: Some(self.learning_rate),
            schedule: Some(self.schedule.to_owned()),
            loss: Some(self.loss.to_owned()),
            batch_size: Some(self.batch_size),
            length: Some(Length::Epochs(self.epochs)),
            time_steps: Some(self.time_steps),
            shift: Some(self.shift),
            augment: Some(Augmentation::parse(self.augment).expect("the recipe's augmentation")),
            ..Provenance::default()
        }
    }

    /// The text of the recipe's model.toml: two layers of neurons and a readout, for the digits.
    pub fn model(&self) -> String {
        let linear = |inputs: usize, outputs: usize| {
            format!(
                "[[layers]]\ntype = \"Linear\"\nin_features = {inputs}\nout_features = {outputs}\nuse_bias = false\n"
            )
        };
        let hidden = self.hidden;
        let lif =
            format!("[[layers]]\ntype = \"LIF\"\nhidden_shape = {hidden}\nactivation = {{ type = \"triangular\" }}\n");
        let readout = "[[layers]]\ntype = \"LI\"\nlayer_shape = 10\n".to_owned();
        let layers = [linear(64, hidden), lif.clone(), linear(hidden, hidden), lif, linear(hidden, 10), readout];
        format!("name = \"core\"\n{}", layers.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_fit_the_digits() {
        for name in Name::value_variants() {
            let model = ModelConfig::parse(&name.recipe().model(), "recipe").expect("a model");
            assert_eq!((model.inputs(), model.outputs()), (64, 10), "{name:?}");
        }
    }
}
