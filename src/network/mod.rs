//! A model with its rules, as a program: from the two files a user writes to the function that is compiled. Invariant: does not depend on
//! training.

mod fold;
mod forward;
mod gradient;
mod pass;
mod sizes;
mod statistics;
mod training;

pub use fold::{Folded, fold};
pub use forward::{Forward, MODEL_KEY, NOISE_KEY};
pub use pass::Pass;

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, TensorType};

use crate::by_path::Tensors;
use crate::config::{ModelConfig, RuleConfig};
use crate::error::Result;
use crate::nn::Sequential;
use crate::quant::{Arithmetic, Gradients, Mode, Numerics, Precision, Rules};
use crate::random::Rngs;

/// A model and its quantization rules.
///
/// ```
/// use spiq::config::ModelConfig;
/// use spiq::network::Network;
/// use spiq::quant::{Mode, linear_only_rules};
/// use spiq::{DType, TensorType};
/// let text = "[[layers]]\ntype = \"Linear\"\nin_features = 4\nout_features = 2\n[[layers]]\ntype = \"LI\"\nlayer_shape = 2";
/// let network = Network::new(ModelConfig::parse(text, "model.toml")?, linear_only_rules("int8", "int8"))?;
/// let forward = network.forward(&TensorType::new(DType::F32, [16, 8, 4]), Mode::Qat)?;
/// let paths: Vec<&str> = forward.signature.arrays().map(|port| port.name.as_str()).collect();
/// assert_eq!(paths, ["core/layers/0/bias", "core/layers/0/kernel", "core/layers/1/beta"]);
/// assert_eq!(forward.function.result_types()[0].to_string(), "f32[16,8,2]");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    config: ModelConfig,
    rules: Rules,
    arithmetic: Arithmetic,
    precision: Precision,
    time_tile: Option<usize>,
    model: Sequential,
}

impl Network {
    /// A network from its parts. Without rules, nothing is quantized.
    ///
    /// # Errors
    /// Of kind `Input`: an invalid rule.
    pub fn new(config: ModelConfig, rules: Vec<RuleConfig>) -> Result<Network> {
        Ok(Network::with_rules(config, Rules::new(&rules)?))
    }

    /// A network from a model and rules that are already validated, such as those of a file.
    pub fn with_rules(config: ModelConfig, rules: Rules) -> Network {
        let model = Sequential::from(&config);
        Network { config, rules, arithmetic: Arithmetic::default(), precision: Precision::F32, time_tile: None, model }
    }

    /// The same network with this rounding; the default is [`Numerics::default`].
    #[must_use]
    pub fn with_numerics(self, numerics: Numerics) -> Network {
        Network { arithmetic: Arithmetic { numerics, ..self.arithmetic }, ..self }
    }

    /// The same network with gradients of this precision; the default is [`Gradients::default`].
    #[must_use]
    pub fn with_gradients(self, gradients: Gradients) -> Network {
        Network { arithmetic: Arithmetic { gradients, ..self.arithmetic }, ..self }
    }

    /// The same network with this precision for products that no rule quantizes; the default is [`Precision::default`].
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Network {
        Network { precision, ..self }
    }

    /// The same network with each normalization folded into the preceding weights where possible; see [`fold`]. `params` holds parameters
    /// and running statistics by path; other entries are kept.
    #[must_use]
    pub fn folded(self, params: &BTreeMap<String, Array>) -> (Network, Folded) {
        let folded = fold(&self.config, params);
        let (config, model) = (folded.model.clone(), Sequential::from(&folded.model));
        (Network { config, model, ..self }, folded)
    }

    /// The same network, and a note if its last rule matches every operation but decides none. With `allow_unmatched`, the rules that apply
    /// to no operation are left out, with a note about each; otherwise quantizing the network refuses them. If no rule applies at all, all
    /// stay.
    ///
    /// # Errors
    /// Of kind `Input`: the model cannot be traced.
    pub fn with_matched_rules(self, allow_unmatched: bool) -> Result<(Network, Vec<String>)> {
        if self.rules.is_empty() {
            return Ok((self, Vec::new()));
        }
        let x = TensorType::new(DType::F32, [vec![2, 1], self.config.input_shape()].concat());
        let report = self.clone().without_rules().quantized(&x, Mode::Ptq)?.report;
        let (matched, unmatched) = self.rules.matched(&report);
        if matched.is_empty() {
            return Ok((self, Vec::new()));
        }
        let note = |index: usize| {
            let which =
                format!("note: rule {} (module_path `{}`)", index + 1, self.rules.get(index).config.module_path);
            match self.rules.is_last_resort(index, &report) {
                true => Some(format!("{which} decides nothing: the rules before it match every operation")),
                false => {
                    allow_unmatched.then(|| format!("{which} applies to no operation of this model and is left out"))
                }
            }
        };
        let notes = unmatched.into_iter().filter_map(note).collect();
        let rules = if allow_unmatched { matched } else { self.rules };
        Ok((Network { rules, ..self }, notes))
    }

    /// The same network without quantization.
    #[must_use]
    pub fn without_rules(self) -> Network {
        Network { rules: Rules::default(), ..self }
    }

    /// The same network split along time into tiles of this many steps; `None` uses a single tile.
    #[must_use]
    pub fn with_time_tile(self, time_tile: Option<usize>) -> Network {
        Network { time_tile, ..self }
    }

    /// The model as written.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rounding behaviour of quantization.
    pub fn numerics(&self) -> Numerics {
        self.arithmetic.numerics
    }

    /// The precision of products in the backward pass.
    pub fn gradients(&self) -> Gradients {
        self.arithmetic.gradients
    }

    /// The precision of products that no rule quantizes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Time steps per tile; `None` for a single tile.
    pub fn time_tile(&self) -> Option<usize> {
        self.time_tile
    }

    /// Types of the parameters by path.
    pub fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        self.model.parameter_types()
    }

    /// The minimum and maximum that training enforces for parameters with limits, by path.
    pub fn limits(&self) -> BTreeMap<String, (f64, f64)> {
        self.model.limits()
    }

    /// Types of all arrays of a network: parameters, and running statistics of layers, by path.
    pub fn array_types(&self) -> BTreeMap<String, TensorType> {
        self.parameter_types().into_iter().chain(self.running_types()).collect()
    }

    /// Types of the running statistics of layers by path.
    pub fn running_types(&self) -> BTreeMap<String, TensorType> {
        self.model.statistic_types()
    }

    /// The number of weights multiplied with a nonzero input; see the model's method.
    #[track_caller]
    pub(crate) fn operations(&self, weights: &Tensors, counts: &Tensors) -> Tensors {
        self.model.operations(weights, counts)
    }

    /// The paths of synaptic weights, excluding biases.
    pub(crate) fn synaptic_weights(&self) -> Vec<String> {
        self.model.synaptic_weights()
    }

    /// The parameters that stay f32 under any rules, by layer path: the kind of the layer, and the names of its parameters that no product
    /// uses, such as biases, decays, and all parameters of norms.
    pub fn beside_products(&self) -> BTreeMap<String, (&'static str, Vec<String>)> {
        let weights = self.synaptic_weights();
        let mut found = BTreeMap::new();
        for (path, layer) in self.model.paths() {
            let names = layer.parameters().into_iter().map(|parameter| parameter.name);
            let beside: Vec<String> = names.filter(|name| !weights.contains(&format!("{path}/{name}"))).collect();
            if !beside.is_empty() {
                found.insert(path, (layer.kind(), beside));
            }
        }
        found
    }

    /// Initial parameters and running statistics by path, the same as in flax and Spyx for this seed.
    pub fn init(&self, seed: i64) -> BTreeMap<String, Array> {
        self.model.init(&mut Rngs::new(seed))
    }

    /// Number of classes: units of the last layer.
    pub fn classes(&self) -> usize {
        self.config.outputs()
    }
}
