//! A model with its rules, as a program: from the two files a user writes to the function that is compiled. Knows
//! nothing of training.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Function, TensorType, trace, value_and_grad};

use crate::config::{ActivationConfig, LayerConfig, ModelConfig, RuleConfig};
use crate::error::{Error, Result};
use crate::jit::graph_error;
use crate::nn::{self, Axes, If, Layer, Li, Lif, Linear, Sequential, Surrogate};
use crate::quant::{Mode, Numerics, Quantized, Report, Rules, quantize};
use crate::random::Rngs;

/// Elements of the largest input. Beyond it, sizes are a mistake, and their products would overflow.
const LARGEST: usize = i32::MAX as usize;

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
/// assert_eq!(forward.paths, ["core/layers/0/bias", "core/layers/0/kernel", "core/layers/1/beta"]);
/// assert_eq!(forward.function.result_types()[0].to_string(), "f32[16,8,2]");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    config: ModelConfig,
    rules: Vec<RuleConfig>,
    compiled_rules: Rules,
    numerics: Numerics,
    model: Sequential,
}

/// The forward pass as a function of parameters and inputs.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Parameters in the order of `paths`, then x [T, B, …]; returns the traces [T, B, C].
    pub function: Function,
    /// Paths of the parameters.
    pub paths: Vec<String>,
    /// What the rules did.
    pub report: Report,
}

impl Network {
    /// A network from its parts. No rules: nothing is quantized.
    ///
    /// # Errors
    /// Of kind `Input`: a rule that is not usable.
    pub fn new(config: ModelConfig, rules: Vec<RuleConfig>) -> Result<Network> {
        let model = Sequential::new(&config.name, config.layers.iter().map(layer));
        Ok(Network { compiled_rules: Rules::new(&rules)?, config, rules, numerics: Numerics::default(), model })
    }

    /// The same network with this arithmetic; a new one has [`Numerics::default`].
    #[must_use]
    pub fn with_numerics(self, numerics: Numerics) -> Network {
        Network { numerics, ..self }
    }

    /// The model as it is written.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The rules as they are written.
    pub fn rules(&self) -> &[RuleConfig] {
        &self.rules
    }

    /// Whose arithmetic quantization follows.
    pub fn numerics(&self) -> Numerics {
        self.numerics
    }

    /// Types of the parameters by path.
    pub fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        self.model.parameter_types()
    }

    /// Initial parameters by path: those of flax and Spyx for this seed.
    pub fn init(&self, seed: i64) -> BTreeMap<String, Array> {
        self.model.init(&mut Rngs::new(seed))
    }

    /// Number of classes: units of the last layer.
    pub fn classes(&self) -> usize {
        self.config.outputs()
    }

    /// The traced forward pass for inputs of type `x`, [T, B, …] f32, as it stands before any transform.
    ///
    /// # Errors
    /// Of kind `Input`: an input that the model does not fit.
    pub fn trace(&self, x: &TensorType) -> Result<Function> {
        let count = x.dims.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        if !count.is_some_and(|count| (1..=LARGEST).contains(&count)) {
            return Err(Error::input(format!("an input {x} (time, batch, features) is empty or too large")));
        }
        self.model.trace(x).map_err(|errors| Error::input(errors.to_string()))
    }

    /// The forward pass, quantized by the rules; its scans are still whole.
    ///
    /// # Errors
    /// Of kind `Input`: an input that the model does not fit, a rule that decides on nothing.
    pub fn quantized(&self, x: &TensorType, mode: Mode) -> Result<Quantized> {
        let paths = self.parameter_types();
        quantize(&self.trace(x)?, &self.compiled_rules, mode, self.numerics, |name| paths.contains_key(name))
    }

    /// The forward pass, quantized by the rules and cut along time.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn forward(&self, x: &TensorType, mode: Mode) -> Result<Forward> {
        let paths: Vec<String> = self.parameter_types().into_keys().collect();
        let quantized = self.quantized(x, mode)?;
        let function = quantized.function.split_time(x.dims[0]).map_err(graph_error)?;
        Ok(Forward { function, paths, report: quantized.report })
    }
}

impl Forward {
    /// The loss of this pass (integral cross-entropy) and its gradient, as a function: parameters, x and labels `s32[B]` to
    /// the loss and the gradient of each parameter.
    ///
    /// # Errors
    /// Of kind `Graph`: traces that are not [T, B, C].
    pub fn gradient(&self) -> Result<Function> {
        let types = self.function.input_types();
        let batch = types.last().and_then(|x| x.dims.get(1).copied()).unwrap_or_default();
        let names = self.function.input_names().iter().map(String::as_str).chain(["labels"]);
        let types = types.into_iter().chain([TensorType::new(DType::S32, [batch])]);
        let inputs: Vec<(&str, TensorType)> = names.zip(types).collect();
        let function = trace(&inputs, |values| {
            let (labels, values) = values.split_last().expect("labels are the last input");
            let (x, params) = values.split_last().expect("x comes before them");
            let ((loss, ()), grads) = value_and_grad(&params.to_vec(), |params| {
                let arguments = [params.as_slice(), std::slice::from_ref(x)].concat();
                let traces = self.function.call(x.graph(), &arguments).swap_remove(0);
                (nn::integral_crossentropy(&traces.named("T B C"), &labels.named("B")), ())
            });
            [vec![loss], grads].concat()
        });
        function.map_err(graph_error)
    }
}

fn layer(config: &LayerConfig) -> Box<dyn Layer> {
    match config.clone() {
        LayerConfig::Linear { in_features, out_features, use_bias } => {
            Linear { in_features, out_features, use_bias }.into()
        }
        LayerConfig::Lif { hidden_shape, beta, threshold, activation } => {
            Lif { hidden_shape, beta, threshold, activation: surrogate(activation) }.into()
        }
        LayerConfig::If { hidden_shape, threshold, activation } => {
            If { hidden_shape, threshold, activation: surrogate(activation) }.into()
        }
        LayerConfig::Li { layer_shape, beta } => Li { layer_shape, beta }.into(),
    }
}

fn surrogate(config: ActivationConfig) -> Surrogate {
    match config {
        ActivationConfig::Tanh { k } => Surrogate::Tanh { k },
        ActivationConfig::Boxcar { width, height } => Surrogate::Boxcar { width, height },
        ActivationConfig::Triangular { k } => Surrogate::Triangular { k },
        ActivationConfig::Arctan { k } => Surrogate::Arctan { k },
        ActivationConfig::Superspike { k } => Surrogate::Superspike { k },
    }
}
