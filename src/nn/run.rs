//! Runs a model over time: loops over the steps, and between them the layers that process all steps at once.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Graph, Tensor, TensorType, Violation};

use super::axes::{Axis, Named, failed};
use super::layer::Layer;
use super::sequential::{Sequential, numbers};
use super::step::{ModelStep, Step};
use crate::by_path::Tensors;
use crate::random::GraphKey;

/// Parameters from host memory as constants of a trace, for a program that does not update them.
pub fn constants(graph: &Graph, params: &BTreeMap<String, Array>) -> BTreeMap<String, Tensor> {
    params.iter().map(|(path, array)| (path.clone(), graph.constant(array))).collect()
}

/// Runs a model over time from a zero state; returns the outputs of all steps and the final state, by path.
///
/// Shapes: x [T, B, …] to traces [T, B, …]; state [B, …]. Spikes may be `pred`, and small event counts `s8`: they take a
/// quarter of the memory, and quantization leaves them exact. Source: `spyx.nn.run`.
///
/// # Errors
/// Recorded in the trace, at the caller's line: axes that do not start with T B, an input that does not fit the model or whose
/// elements are not f32, `pred` or `s8`, and parameters that are missing or of the wrong type.
#[track_caller]
pub fn run(model: &Sequential, params: &BTreeMap<String, Tensor>, x: &Named) -> (Named, BTreeMap<String, Tensor>) {
    let Outcome { traces, state, .. } = Run::new(model, params).on(x);
    (traces, state)
}

/// Like [`run`], but from a given state, for example the final state of an earlier run.
///
/// # Errors
/// Recorded in the trace, as for [`run`]; also a state that is missing or of the wrong type.
///
/// ```
/// use spiq::nn::{self, Axes, Li, Sequential};
/// use spiq::random::Rngs;
/// use spiq_hlo::{DType, TensorType, trace};
/// let model = Sequential::new("core", [Li::new([4]).into()]);
/// let params = model.init(&mut Rngs::new(0));
/// trace(&[("x", TensorType::new(DType::F32, [6, 2, 4]))], |x| {
///     let params = nn::constants(x[0].graph(), &params);
///     let (_, half) = nn::run(&model, &params, &x[0].slice_axis(0, 0, 3).named("T B C"));
///     let (traces, _) = nn::run_from(&model, &params, &half, &x[0].slice_axis(0, 3, 6).named("T B C"));
///     vec![traces.into_tensor()]
/// })?;
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[track_caller]
pub fn run_from(
    model: &Sequential,
    params: &BTreeMap<String, Tensor>,
    state: &BTreeMap<String, Tensor>,
    x: &Named,
) -> (Named, BTreeMap<String, Tensor>) {
    let Outcome { traces, state, .. } = Run::new(model, params).from_state(state).on(x);
    (traces, state)
}

/// A [`run`] with options: an initial state, training, additional results.
///
/// ```
/// use spiq::nn::{Axes, Dropout, Lif, Run, Sequential};
/// use spiq_hlo::{DType, TensorType, trace};
/// let model = Sequential::new("core", [Dropout::new(0.5).into(), Lif { beta: Some(0.9), ..Lif::new([4]) }.into()]);
/// let inputs = [("beta", TensorType::scalar(DType::F32)), ("key", TensorType::new(DType::U32, [2]))];
/// let x = [("x", TensorType::new(DType::F32, [6, 2, 4]))];
/// let f = trace(&[&inputs[..], &x[..]].concat(), |values| {
///     let params = [("core/layers/1/beta".to_owned(), values[0].clone())].into();
///     let outcome = Run::new(&model, &params).training(&values[1]).with_spike_rates().on(&values[2].named("T B C"));
///     vec![outcome.spike_rates["core/layers/1"].clone()]
/// })?;
/// assert_eq!(f.result_types()[0].to_string(), "f32[2]");
/// # Ok::<(), spiq_hlo::GraphErrors>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Run<'a> {
    model: &'a Sequential,
    params: &'a Tensors,
    state: Option<&'a Tensors>,
    training: bool,
    key: Option<&'a Tensor>,
    spike_rates: bool,
    driven: bool,
    spike_counts: bool,
    broken: bool,
}

/// The results of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The outputs of all steps, [T, B, …].
    pub traces: Named,
    /// The final state by path, [B, …].
    pub state: BTreeMap<String, Tensor>,
    /// The next running statistics by path, in training; otherwise empty.
    pub statistics: BTreeMap<String, Tensor>,
    /// For each layer that fires, by path, the mean number of spikes per neuron and step of each sample, `[B]`; empty unless
    /// requested.
    pub spike_rates: BTreeMap<String, Tensor>,
    /// For each layer with [synapses](Layer::synapses), by path, the operand of its weights at all steps, [T, B, …]; empty
    /// unless requested.
    pub driven: BTreeMap<String, Tensor>,
    /// For each layer that fires, by path, the number of spikes of each neuron, [B, …]; empty unless requested.
    pub spike_counts: BTreeMap<String, Tensor>,
    /// For each layer, by path, 1 if one of its outputs or states is not finite at some step, else 0; empty unless requested.
    pub broken: BTreeMap<String, Tensor>,
}

impl<'a> Run<'a> {
    /// A run from a zero state, not in training.
    pub fn new(model: &'a Sequential, params: &'a BTreeMap<String, Tensor>) -> Run<'a> {
        Run {
            model,
            params,
            state: None,
            training: false,
            key: None,
            spike_rates: false,
            spike_counts: false,
            broken: false,
            driven: false,
        }
    }

    /// Starts from this state, by path.
    pub fn from_state(self, state: &'a BTreeMap<String, Tensor>) -> Run<'a> {
        Run { state: Some(state), ..self }
    }

    /// Runs in training: random numbers are drawn from this key, `u32[2]`, and running statistics are updated.
    pub fn training(self, key: &'a Tensor) -> Run<'a> {
        Run { training: true, key: Some(key), ..self }
    }

    /// Runs in training without a key, for a model that draws nothing: running statistics are updated.
    pub fn training_without_key(self) -> Run<'a> {
        Run { training: true, ..self }
    }

    /// Also returns the spike rates of all layers.
    pub fn with_spike_rates(self) -> Run<'a> {
        Run { spike_rates: true, ..self }
    }

    /// Also returns the operands of all synaptic weights.
    pub fn with_driven(self) -> Run<'a> {
        Run { driven: true, ..self }
    }

    /// Also returns the number of spikes of each neuron.
    pub fn with_spike_counts(self) -> Run<'a> {
        Run { spike_counts: true, ..self }
    }

    /// Also returns which layers produce numbers that are not finite.
    pub fn with_broken(self) -> Run<'a> {
        Run { broken: true, ..self }
    }

    /// Runs on this input.
    ///
    /// # Errors
    /// Recorded in the trace, as for [`run`] and [`run_from`]; also a key that is not `u32[2]`.
    #[track_caller]
    pub fn on(&self, x: &Named) -> Outcome {
        let graph = x.tensor().graph();
        let types = self.model.state_types(x.size(Axis::Batch).unwrap_or_default(), DType::F32);
        let zeros = || types.iter().map(|(path, ty)| (path.clone(), graph.zeros(ty.clone()))).collect();
        let state = self.state.cloned().unwrap_or_else(zeros);
        if let Err(violation) = check(self.model, self.params, &state, x) {
            let poison = failed(x.tensor(), "run", violation);
            let state = state.into_keys().map(|path| (path, poison.clone())).collect();
            return Outcome { state, ..Outcome::of(Named::new(&poison, x.axes().to_vec())) };
        }
        let wanted = |wanted: bool| wanted.then(Tensors::new);
        let mut all = ModelStep {
            whole: true,
            parameters: self.params.clone(),
            // State that the model does not declare is not carried.
            states: state.into_iter().filter(|(path, _)| types.contains_key(path)).collect(),
            statistics: wanted(self.training),
            key: self.key.filter(|_| self.model.draws()).map(GraphKey::new),
            drawn: 0,
            rates: wanted(self.spike_rates),
            driven: wanted(self.driven),
            spikes: wanted(self.spike_counts),
            broken: wanted(self.broken),
        };
        let mut at = Step { graph: graph.clone(), path: self.model.name().to_owned(), model: &mut all };
        let traces = graph.scope(self.model.name(), || numbers(&self.model.sequence(&mut at, x.tensor())));
        let axes = if traces.rank() == x.axes().len() { x.axes().to_vec() } else { Axis::of_rank(traces.rank()) };
        let (spike_rates, spike_counts, broken, driven) = all.noted();
        let statistics = all.statistics.unwrap_or_default();
        Outcome {
            state: all.states,
            statistics,
            spike_rates,
            spike_counts,
            broken,
            driven,
            ..Outcome::of(Named::new(&traces, axes))
        }
    }
}

impl Outcome {
    /// An outcome with traces only.
    fn of(traces: Named) -> Outcome {
        let none = Tensors::new;
        Outcome {
            traces,
            state: none(),
            statistics: none(),
            spike_rates: none(),
            driven: none(),
            spike_counts: none(),
            broken: none(),
        }
    }
}

/// Checks everything that can be wrong about a run before its first step.
fn check(model: &Sequential, params: &Tensors, state: &Tensors, x: &Named) -> Result<(), Violation> {
    let tensor = x.tensor();
    if tensor.is_poison() {
        return Ok(());
    }
    check_axes(x)?;
    // Parameters are f32, and the operands of an operation share their dtype.
    if !matches!(tensor.dtype(), DType::F32 | DType::Pred | DType::S8) {
        let message =
            format!("expects f32 elements, or spikes as pred or s8, got {}; call .convert(DType::F32)", tensor.ty());
        return Err(Violation::new("", message));
    }
    let dims = tensor.dims();
    if let Err(reason) = model.output(&dims[2..]) {
        return Err(Violation::new("", format!("{}/{reason}, from x {x}", model.name())));
    }
    check_types("parameter", &model.parameter_types(), params)?;
    check_types("running statistic", &model.statistic_types(), params)?;
    check_types("state", &model.state_types(dims[1], DType::F32), state)
}

fn check_axes(x: &Named) -> Result<(), Violation> {
    if x.axes().starts_with(&[Axis::Time, Axis::Batch]) {
        return Ok(());
    }
    let rest = x.axes().iter().filter(|a| !matches!(a, Axis::Time | Axis::Batch));
    let wanted: Vec<Axis> = [Axis::Time, Axis::Batch].into_iter().chain(rest.copied()).collect();
    let names = super::axes::letters(&wanted);
    let remedy = if x.position(Axis::Time).is_some() && x.position(Axis::Batch).is_some() {
        format!("; call .to_axes({names:?})")
    } else {
        String::new()
    };
    Err(Violation::new("", format!("expects time first, then the batch: {names:?}, got {x}{remedy}")))
}

fn check_types(what: &str, wanted: &BTreeMap<String, TensorType>, given: &Tensors) -> Result<(), Violation> {
    for (path, ty) in wanted {
        let message = match given.get(path) {
            Some(tensor) if tensor.is_poison() || tensor.ty() == ty => continue,
            Some(tensor) => format!("the {what} {path} is {}, but the model expects {ty}", tensor.ty()),
            None => format!("there is no {what} {path}; the model expects {ty}"),
        };
        return Err(Violation::new("", message));
    }
    Ok(())
}
