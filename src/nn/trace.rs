//! A model over time as a function of parameters and input. Knows no particular layer.

use spiq_hlo::{DType, Function, Graph, GraphErrors, TensorType};

use super::axes::{Axes, Axis, letters};
use super::run::Run;
use super::sequential::Sequential;
use crate::places;

/// What a run takes and gives beside parameters, x and traces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    /// A key, for training.
    pub key: bool,
    /// The last states of layers that only leave one for a loss.
    pub states: bool,
    /// Spike rates.
    pub rates: bool,
}

/// A traced run.
pub(crate) struct Traced {
    /// Parameters in the order of their paths, then a key u32[2] where it is for training, then x [T, B, …], to the traces
    /// [T, B, …], then the states for a loss, then the spike rates, f32[B].
    pub function: Function,
    /// Paths of the states that it gives for a loss to read.
    pub states: Vec<String>,
    /// Paths of the layers whose spike rates it gives.
    pub rates: Vec<String>,
}

impl Sequential {
    /// The model's [`run`](super::run()) over an input of type `x` as a function: the parameters in the order of their paths, then x
    /// [T, B, …], to the traces [T, B, …].
    ///
    /// # Errors
    /// Those of [`run`](super::run()), under the caller's line.
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

    /// The same, with what is wanted beside.
    #[track_caller]
    pub(crate) fn trace_with(&self, x: &TensorType, wanted: Wanted) -> Result<Traced, GraphErrors> {
        places::name_cells();
        // Not `spiq_hlo::trace`: its closure would be the caller of the run.
        let graph = Graph::new();
        let types = self.parameter_types();
        let parameters = types.into_iter().map(|(path, ty)| (path.clone(), graph.input(path, ty))).collect();
        let key = wanted.key.then(|| graph.input("key", TensorType::new(DType::U32, [2])));
        let x = graph.input("x", x.clone()).named(&letters(&Axis::of_rank(x.rank())));
        let mut run = Run::new(self, &parameters);
        if let Some(key) = &key {
            run = run.training(key);
        }
        let outcome = if wanted.rates { run.with_spike_rates() } else { run }.on(&x);
        let read = |path: &String| wanted.states && self.is_for_a_loss_at(path);
        let (states, last): (Vec<_>, Vec<_>) = outcome.state.into_iter().filter(|(path, _)| read(path)).unzip();
        let (paths, rates): (Vec<_>, Vec<_>) = outcome.spike_rates.into_iter().unzip();
        let function = graph.finish(&[vec![outcome.traces.into_tensor()], last, rates].concat())?;
        Ok(Traced { function, states, rates: paths })
    }
}
