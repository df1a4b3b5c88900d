//! The model that a run trains: one of the library's networks, or a user-defined model.

use std::collections::BTreeMap;
use std::fmt;

use spiq_hlo::{Array, Tensor, TensorType};

use crate::by_path::Types;
use crate::error::{Error, Result};
use crate::network::{self, Forward, MODEL_KEY, NOISE_KEY, Network};
use crate::nn::{Axes, Axis, Layer, Named, Outcome, Sequential, Traced, Wanted, letters};
use crate::quant::{Mode, Report};
use crate::random::Rngs;
use crate::signature::Role;

/// A model that [`run`](super::run()) trains: its parameters and forward pass.
///
/// ```
/// use std::collections::BTreeMap;
/// use spiq::random::Key;
/// use spiq::train::{ForwardPass, Model, Purpose};
/// use spiq::{Array, DType, Result, TensorType, nn::Axes};
///
/// /// Adds up the pixels of all steps and multiplies them by a matrix.
/// #[derive(Debug)]
/// struct Perceptron;
///
/// impl Model for Perceptron {
///     fn parameter_types(&self) -> BTreeMap<String, TensorType> {
///         [("kernel".to_owned(), TensorType::new(DType::F32, [64, 10]))].into()
///     }
///     fn init(&self, seed: i64) -> BTreeMap<String, Array> {
///         [("kernel".to_owned(), Array::new([64, 10], Key::new(seed).normal(640)).expect("640 numbers"))].into()
///     }
///     fn pass(&self, _: &TensorType, _: Purpose) -> Result<ForwardPass<'_>> {
///         Ok(ForwardPass::new(|given| given.x.convert(DType::F32).dot(&given.params["kernel"]).named("T B C").into()))
///     }
/// }
/// ```
pub trait Model: fmt::Debug + Send + Sync {
    /// Types of the parameters by path.
    fn parameter_types(&self) -> BTreeMap<String, TensorType>;

    /// Initial parameters by path. Statistics of a pass that do not start at zero also have their initial values here.
    fn init(&self, seed: i64) -> BTreeMap<String, Array>;

    /// The smallest and largest value that a training step leaves in the parameters at these paths; the others are unbounded.
    fn limits(&self) -> BTreeMap<String, (f64, f64)> {
        BTreeMap::new()
    }

    /// The forward pass for inputs of type `x`, [T, B, …]: `pred` for spikes, `s8` for small event counts, f32 otherwise.
    ///
    /// # Errors
    /// Of kind `Input`: an input that does not match the model.
    fn pass(&self, x: &TensorType, purpose: Purpose) -> Result<ForwardPass<'_>>;

    /// The forward pass of a training step that also returns [`Outputs::spike_counts`], which regularizers need, and, if `broken` is set
    /// and the model supports it, [`Outputs::broken`], from which a run reports the origin of a non-finite value.
    ///
    /// # Errors
    /// Of kind `Input`: an input that does not match the model.
    fn watched_pass(&self, x: &TensorType, broken: bool) -> Result<ForwardPass<'_>> {
        let _ = broken;
        self.pass(x, Purpose::Training)
    }

    /// Everything that determines the result, as text. The files of a run store it, and a run can only be resumed with the same text.
    ///
    /// The default is the `Debug` text, which contains every field if derived.
    fn describe(&self) -> String {
        format!("{self:?}")
    }

    /// The shape in which the model takes a sample with these axes: the same by default, or another one with the same number of elements.
    ///
    /// # Errors
    /// Of kind `Input`: a sample that the model does not accept.
    fn sample_shape(&self, features: &[usize]) -> Result<Vec<usize>> {
        Ok(features.to_vec())
    }

    /// The network with its rules, if the model is one: a run then also writes `model.toml` and `rules.toml`, and its files record what
    /// determines the network's outputs.
    fn network(&self) -> Option<&Network> {
        None
    }
}

/// The purpose of a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A training step, which is differentiated; training-time randomness is active.
    Training,
    /// A test.
    Test,
}

/// The inputs of a forward pass.
#[derive(Debug)]
#[non_exhaustive]
pub struct Given<'a> {
    /// The parameters by path.
    pub params: &'a BTreeMap<String, Tensor>,
    /// The statistics that the pass declares, by path.
    pub statistics: &'a BTreeMap<String, Tensor>,
    /// The inputs, [T, B, …].
    pub x: &'a Tensor,
    /// The keys of a training step: one `u32[2]` for the model, another for the noise of stochastic gradient rounding.
    pub keys: Option<[&'a Tensor; 2]>,
}

/// The results of a forward pass.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The outputs of all steps: [T, B, C] for a network.
    pub traces: Named,
    /// Further values that a loss may read, by path: states after the last step, such as spike counts ([B, …]).
    pub states: BTreeMap<String, Tensor>,
    /// In a training step, the next statistics by path.
    pub statistics: BTreeMap<String, Tensor>,
    /// In a test, for each layer that fires, the mean number of spikes per neuron and step of each sample, `[B]`.
    pub spike_rates: BTreeMap<String, Tensor>,
    /// In a [watched](Model::watched_pass) training step, for each layer that fires, the spikes of each neuron over all time, [B, …].
    pub spike_counts: BTreeMap<String, Tensor>,
    /// In such a step, for each layer by its path, a number above 0 if an output or a state is non-finite, else 0.
    pub broken: BTreeMap<String, Tensor>,
}

impl From<Named> for Outputs {
    /// Traces only.
    fn from(traces: Named) -> Outputs {
        let none = BTreeMap::new;
        let (spike_counts, broken) = (none(), none());
        Outputs { traces, states: none(), statistics: none(), spike_rates: none(), spike_counts, broken }
    }
}

impl From<Outcome> for Outputs {
    fn from(outcome: Outcome) -> Outputs {
        let Outcome { traces, state: states, statistics, spike_rates, spike_counts, broken, driven: _ } = outcome;
        Outputs { states, statistics, spike_rates, spike_counts, broken, ..Outputs::from(traces) }
    }
}

/// A forward pass, ready to be recorded.
pub struct ForwardPass<'a> {
    statistics: Types,
    counted: Vec<String>,
    record: Box<dyn Fn(&Given<'_>) -> Outputs + 'a>,
}

impl<'a> ForwardPass<'a> {
    /// A pass that is recorded by this function.
    pub fn new(record: impl Fn(&Given<'_>) -> Outputs + 'a) -> ForwardPass<'a> {
        ForwardPass { statistics: Types::new(), counted: Vec::new(), record: Box::new(record) }
    }

    /// The same pass with statistics that are kept beside the parameters, by path. They start at zero, or at the values from
    /// [`Model::init`]; a pass of a training step returns the next ones, a pass of a test reads those that it declares.
    #[must_use]
    pub fn with_statistics(self, statistics: BTreeMap<String, TensorType>) -> ForwardPass<'a> {
        ForwardPass { statistics, ..self }
    }

    /// The same pass with [`Outputs::spike_counts`] for the layers at these paths.
    #[must_use]
    pub fn with_counted(self, counted: impl IntoIterator<Item = String>) -> ForwardPass<'a> {
        ForwardPass { counted: counted.into_iter().collect(), ..self }
    }

    /// This pass, with the statistics that the other pass gathers from the same inputs.
    pub(super) fn calibrating(self, other: ForwardPass<'a>) -> ForwardPass<'a> {
        if other.statistics.is_empty() {
            return self;
        }
        let (statistics, counted) = (other.statistics.clone(), self.counted.clone());
        let record = move |given: &Given<'_>| {
            let (seen, own) = (other.record(given).statistics, self.record(given));
            // Statistics that both gather, such as running averages of layers, come from the trained pass.
            let statistics = seen.into_iter().chain(own.statistics.clone()).collect();
            Outputs { statistics, ..own }
        };
        ForwardPass { statistics, counted, record: Box::new(record) }
    }

    /// Paths of the layers whose spikes are counted.
    pub(super) fn counted(&self) -> &[String] {
        &self.counted
    }

    /// Types of the statistics by path.
    pub(super) fn statistics(&self) -> &Types {
        &self.statistics
    }

    pub(super) fn record(&self, given: &Given<'_>) -> Outputs {
        (self.record)(given)
    }
}

impl fmt::Debug for ForwardPass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardPass").field("statistics", &self.statistics).finish_non_exhaustive()
    }
}

impl Model for Network {
    fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        Network::parameter_types(self)
    }
    fn init(&self, seed: i64) -> BTreeMap<String, Array> {
        Network::init(self, seed)
    }
    fn limits(&self) -> BTreeMap<String, (f64, f64)> {
        Network::limits(self)
    }
    fn pass(&self, x: &TensorType, purpose: Purpose) -> Result<ForwardPass<'_>> {
        match purpose {
            Purpose::Training => training(self, x),
            Purpose::Test => test(self, x),
        }
    }
    fn watched_pass(&self, x: &TensorType, broken: bool) -> Result<ForwardPass<'_>> {
        Ok(recorded(self.training_with_counts(x, broken)?, |_| "T B C".to_owned()))
    }
    fn sample_shape(&self, features: &[usize]) -> Result<Vec<usize>> {
        Network::sample_shape(self, features)
    }
    fn network(&self) -> Option<&Network> {
        Some(self)
    }
}

fn training(network: &Network, x: &TensorType) -> Result<ForwardPass<'static>> {
    Ok(recorded(network.training(x)?, |_| "T B C".to_owned()))
}

fn test(network: &Network, x: &TensorType) -> Result<ForwardPass<'static>> {
    let pass = network::Pass { spike_rates: true, ..Mode::Ptq.into() };
    Ok(recorded(network.forward(x, pass)?, |_| "T B C".to_owned()))
}

/// State kept beside the parameters: running averages of layers, and statistics for static scales.
const STATISTICS: [Role; 2] = [Role::Running, Role::Statistic];

/// A pass of a network or of layers; `axes` names the axes of traces of a given rank.
fn recorded(pass: Forward, axes: fn(usize) -> String) -> ForwardPass<'static> {
    let statistics = STATISTICS.iter().flat_map(|role| pass.signature.types(*role)).collect();
    let counted: Vec<String> = pass.signature.results_of(Role::SpikeCount).map(|port| port.name.clone()).collect();
    let record = move |given: &Given<'_>| {
        let keys = given.keys.map(|keys| [MODEL_KEY, NOISE_KEY].into_iter().zip(keys));
        let keys = keys.into_iter().flatten().map(|(name, key)| (name.to_owned(), key.clone()));
        let all = given.params.clone().into_iter().chain(given.statistics.clone()).chain(keys).collect();
        let values = pass.call(&all, given.x);
        let traces = values.only(Role::Traces);
        Outputs {
            states: values.of(Role::LossState),
            statistics: STATISTICS.iter().flat_map(|role| values.of(*role)).collect(),
            spike_rates: values.of(Role::SpikeRate),
            spike_counts: values.of(Role::SpikeCount),
            broken: values.of(Role::Broken),
            ..traces.named(&axes(traces.rank())).into()
        }
    };
    ForwardPass::new(record).with_statistics(statistics).with_counted(counted)
}

fn of_layers(model: &Sequential, x: &TensorType, wanted: Wanted) -> Result<ForwardPass<'static>> {
    let traced = model.trace_with(x, wanted);
    let Traced { function, signature } = traced.map_err(|errors| Error::input(errors.to_string()))?;
    let whole = Forward { function, signature, report: Report::default() };
    Ok(recorded(whole.cut(x.dims.first().copied().unwrap_or_default())?, |rank| letters(&Axis::of_rank(rank))))
}

/// A model of custom layers, in full precision, split along time like a network.
impl Model for Sequential {
    fn parameter_types(&self) -> BTreeMap<String, TensorType> {
        Sequential::parameter_types(self)
    }
    fn init(&self, seed: i64) -> BTreeMap<String, Array> {
        Sequential::init(self, &mut Rngs::new(seed))
    }
    fn limits(&self) -> BTreeMap<String, (f64, f64)> {
        Sequential::limits(self)
    }
    fn pass(&self, x: &TensorType, purpose: Purpose) -> Result<ForwardPass<'_>> {
        let training = purpose == Purpose::Training;
        let key = training && self.draws();
        of_layers(self, x, Wanted { training, key, states: training, rates: !training, ..Wanted::default() })
    }
    fn watched_pass(&self, x: &TensorType, broken: bool) -> Result<ForwardPass<'_>> {
        let key = self.draws();
        of_layers(self, x, Wanted { training: true, key, states: true, counts: true, broken, ..Wanted::default() })
    }
    fn sample_shape(&self, features: &[usize]) -> Result<Vec<usize>> {
        self.output(features).map(|_| features.to_vec()).map_err(|reason| {
            Error::input(format!("a sample of the data has the shape {features:?}: {}/{reason}", self.name()))
        })
    }
}
