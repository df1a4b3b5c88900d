//! Traces a model over time as a function of parameters and input.

use spiq_hlo::{DType, Function, Graph, GraphErrors, TensorType};

use super::axes::{Axes, Axis, letters};
use super::run::Run;
use super::sequential::Sequential;
use crate::by_path::{Tensors, Types};
use crate::places;
use crate::signature::{Role, Signature};

/// The name of the input over time.
pub(crate) const X: &str = "x";
/// The name of the key from which a model draws in training.
pub(crate) const KEY: &str = "key";
/// The name of the outputs.
const TRACES: &str = "traces";

/// Requested inputs and results of a run, besides parameters, x and traces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// Whether the model is trained: running statistics are updated.
    pub training: bool,
    /// A key, for training.
    pub key: bool,
    /// The final states of layers that only leave one for a loss.
    pub states: bool,
    /// Spike rates.
    pub rates: bool,
    /// The operands of synaptic weights.
    pub driven: bool,
    /// Spike counts.
    pub counts: bool,
    /// Which layers produce numbers that are not finite.
    pub broken: bool,
}

/// A traced run.
pub(crate) struct Traced {
    pub function: Function,
    /// From parameters, running statistics, a key (for training) and x [T, B, …] to the traces [T, B, …], the states for a
    /// loss, the spike rates, and the other requested results.
    pub signature: Signature,
}

impl Sequential {
    /// The model's [`run`](super::run()) over an input of type `x` as a function: from the parameters in the order of their
    /// paths and x [T, B, …] to the traces [T, B, …].
    ///
    /// # Errors
    /// Those of [`run`](super::run()), at the caller's line.
    ///
    /// ```
    /// use spiq::nn::{Li, Linear, Sequential};
    /// use spiq::{DType, TensorType};
    /// let model = Sequential::new("core", [Linear::new(32, 10).without_bias().into(), Li::new([10]).into()]);
    /// let forward = model.trace(&TensorType::new(DType::F32, [16, 8, 32]))?;
    /// assert_eq!(forward.input_names(), ["core/layers/0/kernel", "core/layers/1/beta", "x"]);
    /// assert_eq!(forward.result_types()[0].to_string(), "f32[16,8,10]");
    /// # Ok::<(), spiq::GraphErrors>(())
    /// ```
    #[track_caller]
    pub fn trace(&self, x: &TensorType) -> Result<Function, GraphErrors> {
        Ok(self.trace_with(x, Wanted::default())?.function)
    }

    /// The same, with the requested inputs and results.
    #[track_caller]
    pub(crate) fn trace_with(&self, x: &TensorType, wanted: Wanted) -> Result<Traced, GraphErrors> {
        places::name_cells();
        // Not `spiq_hlo::trace`: its closure would count as the caller of the run.
        let graph = Graph::new();
        let key = TensorType::new(DType::U32, [2]);
        let signature = Signature::default()
            .with(Role::Parameter, self.parameter_types())
            .with(Role::Running, self.statistic_types())
            .with(Role::ModelKey, wanted.key.then(|| (KEY, key.clone())))
            .with(Role::X, [(X, x.clone())]);
        let types = self.parameter_types().into_iter().chain(self.statistic_types());
        let parameters = types.map(|(path, ty)| (path.clone(), graph.input(path, ty))).collect();
        let key = wanted.key.then(|| graph.input(KEY, key));
        let x = graph.input(X, x.clone()).named(&letters(&Axis::of_rank(x.rank())));
        let mut run = Run::new(self, &parameters);
        if wanted.training {
            run = run.training_without_key();
        }
        if let Some(key) = &key {
            run = run.training(key);
        }
        let run = if wanted.rates { run.with_spike_rates() } else { run };
        let run = if wanted.counts { run.with_spike_counts() } else { run };
        let run = if wanted.broken { run.with_broken() } else { run };
        let outcome = if wanted.driven { run.with_driven() } else { run }.on(&x);
        let read = |path: &String| wanted.states && self.is_for_a_loss_at(path);
        let states: Tensors = outcome.state.into_iter().filter(|(path, _)| read(path)).collect();
        let types = |tensors: &Tensors| -> Types { tensors.iter().map(|(n, t)| (n.clone(), t.ty().clone())).collect() };
        let traces = outcome.traces.into_tensor();
        let signature = signature
            .giving(Role::Traces, [(TRACES, traces.ty().clone())])
            .giving(Role::Running, types(&outcome.statistics))
            .giving(Role::LossState, types(&states))
            .giving(Role::SpikeRate, types(&outcome.spike_rates))
            .giving(Role::SpikeCount, types(&outcome.spike_counts))
            .giving(Role::Broken, types(&outcome.broken))
            .giving(Role::Driven, types(&outcome.driven));
        let beside = outcome.statistics.into_values().chain(states.into_values());
        let beside = beside.chain(outcome.spike_rates.into_values());
        let beside = beside
            .chain(outcome.spike_counts.into_values())
            .chain(outcome.broken.into_values())
            .chain(outcome.driven.into_values());
        let function = graph.finish(&std::iter::once(traces).chain(beside).collect::<Vec<_>>())?;
        Ok(Traced { function, signature })
    }
}
