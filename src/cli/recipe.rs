//! Recipes for `spiq train`: what it does where no flag says otherwise, as data. Knows nothing of how it is done.

use clap::ValueEnum;
use spiq::train::{Optimizer, Schedule};

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
    /// The text of its model.toml.
    pub model: &'static str,
    /// Quantized type of the weights of all dot products.
    pub weights: &'static str,
    /// Quantized type of their activations.
    pub activations: &'static str,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Its learning rate.
    pub learning_rate: f64,
    /// How that goes on.
    pub schedule: Schedule,
    /// Samples a step.
    pub batch_size: usize,
    /// Times through the training samples.
    pub epochs: usize,
    /// Time steps that images are encoded over.
    pub time_steps: usize,
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

const DIGITS: Recipe = Recipe { ..SPYX };

const SPYX: Recipe = Recipe {
    model: SPYX_MODEL,
    weights: "int8",
    activations: "int8",
    optimizer: Optimizer::Adam,
    learning_rate: 2e-3,
    schedule: Schedule::Constant,
    batch_size: 64,
    epochs: 20,
    time_steps: 32,
};

const SPYX_MODEL: &str = r#"
name = "core"

[[layers]]
type = "Linear"
in_features = 64
out_features = 128
use_bias = false

[[layers]]
type = "LIF"
hidden_shape = 128
activation = { type = "triangular" }

[[layers]]
type = "Linear"
in_features = 128
out_features = 128
use_bias = false

[[layers]]
type = "LIF"
hidden_shape = 128
activation = { type = "triangular" }

[[layers]]
type = "Linear"
in_features = 128
out_features = 10
use_bias = false

[[layers]]
type = "LI"
layer_shape = 10
"#;

#[cfg(test)]
mod tests {
    use spiq::config::ModelConfig;

    use super::*;

    #[test]
    fn recipes_fit_the_digits() {
        for name in Name::value_variants() {
            let model = ModelConfig::parse(name.recipe().model, "recipe").expect("a model");
            assert_eq!((model.inputs(), model.outputs()), (64, 10), "{name:?}");
        }
    }
}
