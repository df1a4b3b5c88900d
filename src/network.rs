//! A model with its rules, as a program: from the two files a user writes to the function that is compiled. Knows
//! nothing of training.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Function, Tensor, TensorType, trace, value_and_grad};

use crate::config::{ModelConfig, RuleConfig};
use crate::error::{Error, Result};
use crate::fields::LARGEST;
use crate::nn::{self, Axes, Layer, Sequential, Traced, Wanted, shapes};
use crate::quant::{Arithmetic, COLLECTION, Gradients, Mode, NOISE_KEY, Numerics, Quantized, Report, Rules, quantize};
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
/// assert_eq!(forward.paths, ["core/layers/0/bias", "core/layers/0/kernel", "core/layers/1/beta"]);
/// assert_eq!(forward.function.result_types()[0].to_string(), "f32[16,8,2]");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    config: ModelConfig,
    rules: Vec<RuleConfig>,
    compiled_rules: Rules,
    arithmetic: Arithmetic,
    time_tile: Option<usize>,
    model: Sequential,
}

/// What a forward pass is for.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Whether rules quantize as in training or after it.
    pub mode: Mode,
    /// Whether what is random while training is so.
    pub training: bool,
    /// Whether the spike rates of the layers are computed.
    pub spike_rates: bool,
}

impl From<Mode> for Pass {
    /// A pass that is not random and gives the traces only.
    fn from(mode: Mode) -> Pass {
        Pass { mode, training: false, spike_rates: false }
    }
}

/// The forward pass as a function of parameters and inputs.
#[derive(Clone, Debug)]
pub struct Forward {
    /// What `paths` names, then a key `u32[2]` where `takes_key`, then x [T, B, …]; returns the traces
    /// [T, B, C] and then the mean number of spikes a neuron and step, `f32[B]`, for each layer of `rates`.
    pub function: Function,
    /// Paths of the parameters; after them, where a rule wants static scales, those of the statistics (`quant_stats/…`).
    pub paths: Vec<String>,
    /// Paths of the layers whose spike rates are computed.
    pub rates: Vec<String>,
    /// Whether the pass draws random numbers.
    pub takes_key: bool,
    /// What the rules did.
    pub report: Report,
}

impl Network {
    /// A network from its parts. No rules: nothing is quantized.
    ///
    /// # Errors
    /// Of kind `Input`: a rule that is not usable.
    pub fn new(config: ModelConfig, rules: Vec<RuleConfig>) -> Result<Network> {
        let model = Sequential::from(&config);
        Ok(Network {
            compiled_rules: Rules::new(&rules)?,
            config,
            rules,
            arithmetic: Arithmetic::default(),
            time_tile: None,
            model,
        })
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

    /// The same network cut along time into tiles of so many steps; `None` takes all steps for one tile.
    #[must_use]
    pub fn with_time_tile(self, time_tile: Option<usize>) -> Network {
        Network { time_tile, ..self }
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
        self.arithmetic.numerics
    }

    /// The width of the products on the way back.
    pub fn gradients(&self) -> Gradients {
        self.arithmetic.gradients
    }

    /// Time steps of a tile; `None` where all are one.
    pub fn time_tile(&self) -> Option<usize> {
        self.time_tile
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

    /// The shape that a sample with these axes goes into the model with: its own, or that of an image of one channel where
    /// the channel is left out ([H, W] or, of a square image, [H W]).
    ///
    /// # Errors
    /// Of kind `Input`: a sample that the model does not take.
    pub fn sample_shape(&self, features: &[usize]) -> Result<Vec<usize>> {
        let refused = match self.model.output(features) {
            Ok(_) => return Ok(features.to_vec()),
            Err(reason) => reason,
        };
        let side = features.iter().product::<usize>().isqrt();
        let image = match *features {
            [count] if side * side == count => vec![side, side, 1],
            [height, width] => vec![height, width, 1],
            _ => Vec::new(),
        };
        match self.model.output(&image) {
            Ok(_) => Ok(image),
            Err(_) => Err(Error::input(format!(
                "a sample of the data has the shape {features:?}, which the model does not take: {}/{refused}",
                self.config.name
            ))),
        }
    }

    /// The traced forward pass for inputs of type `x`, [T, B, …] f32 (or spikes as `pred` or `s8`), as it stands before any
    /// transform.
    ///
    /// # Errors
    /// Of kind `Input`: an input that the model does not fit.
    pub fn trace(&self, x: &TensorType) -> Result<Function> {
        Ok(self.traced(x, Mode::Qat.into())?.function)
    }

    fn traced(&self, x: &TensorType, pass: Pass) -> Result<Traced> {
        self.check_sizes(x)?;
        let wanted = Wanted { key: self.takes_key(pass), states: pass.training, rates: pass.spike_rates };
        let traced = self.model.trace_with(x, wanted);
        traced.map_err(|errors| Error::input(errors.to_string()))
    }

    fn takes_key(&self, pass: Pass) -> bool {
        pass.training && self.model.draws()
    }

    /// Neither the input nor what a layer makes of it is too large.
    fn check_sizes(&self, x: &TensorType) -> Result<()> {
        let count = |dims: &[usize]| dims.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let usable = |dims: &[usize]| count(dims).is_some_and(|count| (1..=LARGEST).contains(&count));
        if !usable(&x.dims) {
            return Err(Error::input(format!("an input {x} (time, batch, features) is empty or too large")));
        }
        let (outer, sample) = x.dims.split_at(x.rank().min(2));
        // Shapes that do not fit are the trace's to report.
        let after = shapes(self.model.layers(), sample).unwrap_or_default();
        match after.iter().position(|shape| !usable(&[outer, shape].concat())) {
            Some(layer) => Err(Error::input(format!(
                "the output of {}/layers/{layer} for an input {x} (time, batch, features) is too large",
                self.config.name
            ))),
            None => Ok(()),
        }
    }

    /// The forward pass, quantized by the rules; its scans are still whole.
    ///
    /// # Errors
    /// Of kind `Input`: an input that the model does not fit, a rule that decides on nothing.
    pub fn quantized(&self, x: &TensorType, pass: impl Into<Pass>) -> Result<Quantized> {
        Ok(self.quantized_pass(x, pass.into())?.0)
    }

    fn quantized_pass(&self, x: &TensorType, pass: Pass) -> Result<(Quantized, Traced)> {
        let paths = self.parameter_types();
        let traced = self.traced(x, pass)?;
        let is_weight = |name: &str| paths.contains_key(name);
        let quantize = |function| quantize(function, &self.compiled_rules, pass.mode, self.arithmetic, is_weight);
        let quantized = quantize(&traced.function)?;
        if self.rules.iter().any(|rule| rule.act_static_scale == Some(true) && !rule.act_batch_axes.contains(&0)) {
            let mut wider = x.clone();
            wider.dims[1] += 1;
            check_sums(&quantized.function, &quantize(&self.traced(&wider, pass)?.function)?.function)?;
        }
        Ok((quantized, traced))
    }

    /// The forward pass, quantized by the rules and cut along time. Static scales come from statistics, which it only reads.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn forward(&self, x: &TensorType, pass: impl Into<Pass>) -> Result<Forward> {
        self.forward_in_tiles(x, pass, self.time_tile.unwrap_or(x.dims.first().copied().unwrap_or_default()))
    }

    /// The forward pass, quantized by the rules and cut along time into tiles of so many steps.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn forward_in_tiles(&self, x: &TensorType, pass: impl Into<Pass>, tile: usize) -> Result<Forward> {
        let pass = pass.into();
        let (quantized, Traced { rates, .. }) = self.quantized_pass(x, pass)?;
        let function = self.reading(&quantized)?.split_time(tile)?;
        let sums = quantized.function.sums().into_iter().map(|(path, _)| path);
        let paths = self.parameter_types().into_keys().chain(sums).collect();
        Ok(Forward { function, paths, rates, takes_key: self.takes_key(pass), report: quantized.report })
    }

    /// A quantized program from parameters, statistics, a key where the pass takes one, and x: sums are read, and gradients
    /// are rounded with the noise of an arbitrary key.
    pub(crate) fn reading(&self, quantized: &Quantized) -> Result<Function> {
        let function = quantized.function.read_sums()?;
        arranged(&function, &self.order(quantized, false))
    }

    /// The forward pass of a training step, quantized by the rules and cut along time. Statistics are state.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn training(&self, x: &TensorType) -> Result<Training> {
        self.with_state(x, true)
    }

    /// Like [`training`](Network::training), but nothing is random: for statistics of a network that is not trained on.
    pub(crate) fn seeing(&self, x: &TensorType) -> Result<Training> {
        self.with_state(x, false)
    }

    fn with_state(&self, x: &TensorType, training: bool) -> Result<Training> {
        let pass = Pass { mode: Mode::Qat, training, spike_rates: false };
        let (quantized, Traced { states, .. }) = self.quantized_pass(x, pass)?;
        let whole = quantized.function.keep_sums()?;
        let whole = arranged(&whole, &self.order(&quantized, true))?;
        Ok(Training {
            function: whole.split_time(self.time_tile.unwrap_or(x.dims[0]))?,
            states,
            statistics: quantized.function.sums().into_iter().collect(),
            takes_key: self.takes_key(pass),
            noise_key: quantized.noise_key,
            report: quantized.report,
        })
    }

    /// Parameters, statistics, then what else a quantized program takes: a key, x; the key of noise, if wanted, before x.
    fn order(&self, quantized: &Quantized, noise: bool) -> Vec<String> {
        let params = self.parameter_types();
        let sums = quantized.function.sums().into_iter().map(|(path, _)| path);
        let names = quantized.function.input_names().iter().filter(|name| !params.contains_key(*name));
        let mut others: Vec<String> = names.filter(|name| *name != NOISE_KEY).cloned().collect();
        if noise && quantized.noise_key {
            others.insert(others.len() - 1, NOISE_KEY.to_owned());
        }
        params.keys().cloned().chain(sums).chain(others).collect()
    }

    /// Types of the statistics that static scales come from, by path, for inputs of type `x`; none without such scales. A
    /// training step may take some that predictions do not read: behind dropout, spikes are no integers.
    ///
    /// # Errors
    /// As [`quantized`](Network::quantized).
    pub fn statistics_types(&self, x: &TensorType) -> Result<BTreeMap<String, TensorType>> {
        match self.rules.iter().any(|rule| rule.act_static_scale == Some(true)) {
            true => {
                let step = Pass { mode: Mode::Qat, training: true, spike_rates: false };
                Ok(self.quantized(x, step)?.function.sums().into_iter().collect())
            }
            false => Ok(BTreeMap::new()),
        }
    }
}

/// Refuses statistics that are not the same for batches of another size: no other batch could be computed from them.
fn check_sums(function: &Function, of_wider_batch: &Function) -> Result<()> {
    let pairs = function.sums().into_iter().zip(of_wider_batch.sums());
    match pairs.into_iter().find(|((_, ty), (_, wider))| ty != wider) {
        Some(((path, ty), _)) => Err(Error::input(format!(
            "the statistic `{path}` ({ty}) would have an axis of the batch's size; name that axis, 0, in act_batch_axes"
        ))),
        None => Ok(()),
    }
}

/// The function with its parameters in this order. One that is not named is zero.
pub(crate) fn arranged(function: &Function, order: &[String]) -> Result<Function> {
    if function.input_names() == order {
        return Ok(function.clone());
    }
    let types: BTreeMap<&String, TensorType> = function.input_names().iter().zip(function.input_types()).collect();
    let inputs: Vec<(&str, TensorType)> = order.iter().map(|name| (name.as_str(), types[name].clone())).collect();
    let arranged = trace(&inputs, |values| {
        let graph = values[0].graph();
        let given = function.input_names().iter().map(|name| match order.iter().position(|n| n == name) {
            Some(at) => values[at].clone(),
            None => graph.zeros(types[name].clone()),
        });
        function.call(graph, &given.collect::<Vec<_>>())
    });
    arranged.map_err(Error::from)
}

/// The forward pass of a training step.
#[derive(Clone, Debug)]
pub struct Training {
    /// Parameters, statistics, a key `u32[2]` if `takes_key`, another if `noise_key`, and x [T, B, …]; returns the traces
    /// [T, B, C], the states for a loss, and the next statistics.
    pub function: Function,
    /// Paths of the states that layers leave for a loss to read, such as counts of spikes.
    pub states: Vec<String>,
    /// Types of the statistics that static scales come from, by path. They start as zeros.
    pub statistics: BTreeMap<String, TensorType>,
    /// Whether the model draws random numbers.
    pub takes_key: bool,
    /// Whether gradients are rounded at random.
    pub noise_key: bool,
    /// What the rules did.
    pub report: Report,
}

impl Training {
    /// Records the pass: the traces, the states for a loss and the next statistics. `keys` are the model's and the noise's,
    /// for passes that take them.
    pub fn call(
        &self,
        params: &BTreeMap<String, Tensor>,
        statistics: &[Tensor],
        keys: [&Tensor; 2],
        x: &Tensor,
    ) -> (Tensor, Vec<Tensor>, Vec<Tensor>) {
        let [key, noise] = keys;
        let keys = self.takes_key.then_some(key).into_iter().chain(self.noise_key.then_some(noise));
        let arguments: Vec<Tensor> = params.values().chain(statistics).chain(keys).chain([x]).cloned().collect();
        let mut results = self.function.call(x.graph(), &arguments);
        let statistics = results.split_off(1 + self.states.len());
        let states = results.split_off(1);
        (results.swap_remove(0), states, statistics)
    }
}

impl Forward {
    /// Records the pass: traces [T, B, C], then spike rates in the order of `rates`. The key is for passes that take one.
    pub(crate) fn call(&self, params: &[Tensor], key: Option<&Tensor>, x: &Tensor) -> Vec<Tensor> {
        let key = key.filter(|_| self.takes_key).map_or(&[][..], std::slice::from_ref);
        self.function.call(x.graph(), &[params, key, std::slice::from_ref(x)].concat())
    }

    /// The loss of this pass (integral cross-entropy) and its gradient, as a function: what `paths` names, a key where the pass
    /// takes one, x and labels `s32[B]` to the loss and the gradient of each parameter.
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
            let (params, given) =
                values.split_at(self.paths.iter().filter(|path| !path.starts_with(COLLECTION)).count());
            let ((loss, ()), grads) = value_and_grad(&params.to_vec(), |params| {
                let traces = self.function.call(labels.graph(), &[params.as_slice(), given].concat()).swap_remove(0);
                (nn::integral_crossentropy(&traces.named("T B C"), &labels.named("B")), ())
            });
            [vec![loss], grads].concat()
        });
        function.map_err(Error::from)
    }
}
