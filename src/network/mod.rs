//! A model with its rules, as a program: from the two files a user writes to the function that is compiled. Knows nothing
//! of training.

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

use spiq_hlo::{Array, TensorType};

use crate::by_path::Tensors;
use crate::config::{ModelConfig, RuleConfig};
use crate::error::Result;
use crate::nn::Sequential;
use crate::quant::{Arithmetic, Gradients, Numerics, Precision, Rules};
use crate::random::Rngs;

/// A model and the rules it is quantized by.
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
    /// A network from its parts. No rules: nothing is quantized.
    ///
    /// # Errors
    /// Of kind `Input`: a rule that is not usable.
    pub fn new(config: ModelConfig, rules: Vec<RuleConfig>) -> Result<Network> {
        Ok(Network::with_rules(config, Rules::new(&rules)?))
    }

    /// A network from a model and rules that are checked already, as those of a file are.
    pub fn with_rules(config: ModelConfig, rules: Rules) -> Network {
        let model = Sequential::from(&config);
        Network { config, rules, arithmetic: Arithmetic::default(), precision: Precision::F32, time_tile: None, model }
    }

    /// The same network with this rounding; a new one has [`Numerics::default`].
    #[must_use]
    pub fn with_numerics(self, numerics: Numerics) -> Network {
        Network { arithmetic: Arithmetic { numerics, ..self.arithmetic }, ..self }
    }

    /// The same network with gradients of this width; a new one has [`Gradients::default`].
    #[must_use]
    pub fn with_gradients(self, gradients: Gradients) -> Network {
        Network { arithmetic: Arithmetic { gradients, ..self.arithmetic }, ..self }
    }

    /// The same network with products of this width where no rule quantizes them; a new one has [`Precision::default`].
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Network {
        Network { precision, ..self }
    }

    /// The same network with each normalization taken into the weights before it, where that is possible; see [`fold`].
    /// `params` holds parameters and running statistics by path; what else it holds stays.
    #[must_use]
    pub fn folded(self, params: &BTreeMap<String, Array>) -> (Network, Folded) {
        let folded = fold(&self.config, params);
        let (config, model) = (folded.model.clone(), Sequential::from(&folded.model));
        (Network { config, model, ..self }, folded)
    }

    /// The same network in which nothing is quantized.
    #[must_use]
    pub fn without_rules(self) -> Network {
        Network { rules: Rules::default(), ..self }
    }

    /// The same network cut along time into tiles of so many steps; `None` takes all steps for one tile.
    #[must_use]
    pub fn with_time_tile(self, time_tile: Option<usize>) -> Network {
        Network { time_tile, ..self }
    }

    /// The model as it is written.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whose arithmetic quantization follows.
    pub fn numerics(&self) -> Numerics {
        self.arithmetic.numerics
    }

    /// The width of the products on the way back.
    pub fn gradients(&self) -> Gradients {
        self.arithmetic.gradients
    }

    /// The width of the products that no rule quantizes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Time steps of a tile; `None` where all are one.
    pub fn time_tile(&self) -> Option<usize> {
        self.time_tile
    }

    /// Types of the parameters by path.
    pub fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        self.model.parameter_types()
    }

    /// The smallest and largest value that training leaves parameters that have such limits, by path.
    pub fn limits(&self) -> BTreeMap<String, (f64, f64)> {
        self.model.limits()
    }

    /// Types of all arrays that a network is: parameters, and running statistics of layers, by path.
    pub fn array_types(&self) -> BTreeMap<String, TensorType> {
        self.parameter_types().into_iter().chain(self.running_types()).collect()
    }

    /// Types of the running statistics of layers by path.
    pub fn running_types(&self) -> BTreeMap<String, TensorType> {
        self.model.statistic_types()
    }

    /// How many weights meet an input that is not zero; see the model's own.
    #[track_caller]
    pub(crate) fn operations(&self, weights: &Tensors, counts: &Tensors) -> Tensors {
        self.model.operations(weights, counts)
    }

    /// The paths of the weights of synapses, biases not among them.
    pub(crate) fn synaptic_weights(&self) -> Vec<String> {
        self.model.synaptic_weights()
    }

    /// What stays f32 whatever the rules say, by the path of its layer: the kind of the layer, and which of its parameters are of no
    /// product, as biases, decays, and all parameters of norms are.
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

    /// Initial parameters and running statistics by path: those of flax and Spyx for this seed.
    pub fn init(&self, seed: i64) -> BTreeMap<String, Array> {
        self.model.init(&mut Rngs::new(seed))
    }

    /// Number of classes: units of the last layer.
    pub fn classes(&self) -> usize {
        self.config.outputs()
    }
}
