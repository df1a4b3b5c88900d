//! A model over time as a function of parameters and input. Knows no particular layer.

use spiq_hlo::{DType, Function, Graph, GraphErrors, TensorType};

use super::axes::{Axes, Axis, letters};
use super::run::Run;
use super::sequential::Sequential;
use crate::places;

/// The name of the input over time.
pub(crate) const X: &str = "x";
/// The name of the key that a model draws from in training.
pub(crate) const KEY: &str = "key";

/// A traced run.
pub(crate) struct Traced {
    /// Parameters in the order of their paths, then a key u32[2] where it is for training, then x [T, B, …], to the traces
    /// [T, B, …] and then the spike rates, f32[B].
    pub function: Function,
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
        Ok(self.trace_with(x, false, false)?.function)
    }

    /// The same, for training or not, with spike rates or without.
    #[track_caller]
    pub(crate) fn trace_with(&self, x: &TensorType, training: bool, rates: bool) -> Result<Traced, GraphErrors> {
        places::name_cells();
        // Not `spiq_hlo::trace`: its closure would be the caller of the run.
        let graph = Graph::new();
        let types = self.parameter_types();
        let parameters = types.into_iter().map(|(path, ty)| (path.clone(), graph.input(path, ty))).collect();
        let key = training.then(|| graph.input(KEY, TensorType::new(DType::U32, [2])));
        let x = graph.input(X, x.clone()).named(&letters(&Axis::of_rank(x.rank())));
        let mut run = Run::new(self, &parameters);
        if let Some(key) = &key {
            run = run.training(key);
        }
        let outcome = if rates { run.with_spike_rates() } else { run }.on(&x);
        let (paths, rates): (Vec<_>, Vec<_>) = outcome.spike_rates.into_iter().unzip();
        let function = graph.finish(&[vec![outcome.traces.into_tensor()], rates].concat())?;
        Ok(Traced { function, rates: paths })
    }
}
