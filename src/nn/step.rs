//! The values a layer accesses while it computes: parameters, running statistics and state under its own path.

use spiq_hlo::{DType, Graph, Tensor, TensorType, Violation, vmap};

use crate::by_path::Tensors;
use crate::random::GraphKey;

/// One layer at one time step, or over all of them: its path and the values under it.
#[derive(Debug)]
pub struct Step<'a> {
    pub(super) graph: Graph,
    pub(super) path: String,
    pub(super) model: &'a mut ModelStep,
}

/// The values a model computes with, at one time step or over all of them.
#[derive(Debug, Default)]
pub(super) struct ModelStep {
    /// Whether this covers all steps at once: tensors then have time as axis 0, and states are those at the boundary.
    pub whole: bool,
    /// Parameters and running statistics.
    pub parameters: Tensors,
    pub states: Tensors,
    /// The next running statistics, in training.
    pub statistics: Option<Tensors>,
    /// The key to draw from, in training: that of the step, or for all steps that of the run.
    pub key: Option<GraphKey>,
    /// The number of keys drawn so far.
    pub drawn: u32,
    /// For each layer that fires, the fraction of its neurons that fire, [B]; if requested.
    pub rates: Option<Tensors>,
    /// The operands of the synaptic weights, by the path of their layer; if requested.
    pub driven: Option<Tensors>,
    /// For each layer that fires, its spikes, [B, …]; if they are counted.
    pub spikes: Option<Tensors>,
    /// For each layer, 1 if it outputs or keeps a number that is not finite, else 0; if requested.
    pub broken: Option<Tensors>,
}

/// Values noted about layers: rates, spikes, flags of non-finite numbers, operands of synaptic weights.
pub(super) type Noted = (Tensors, Tensors, Tensors, Tensors);

impl ModelStep {
    /// One of these steps, with the same values requested.
    pub fn of_one_step(&self, states: Tensors, key: Option<GraphKey>) -> ModelStep {
        let again = |wanted: &Option<Tensors>| wanted.as_ref().map(|_| Tensors::new());
        ModelStep {
            whole: false,
            parameters: self.parameters.clone(),
            states,
            statistics: again(&self.statistics),
            key,
            drawn: self.drawn,
            rates: again(&self.rates),
            driven: again(&self.driven),
            spikes: again(&self.spikes),
            broken: again(&self.broken),
        }
    }

    /// Takes the noted values.
    pub fn noted(&mut self) -> Noted {
        let [rates, spikes, broken, driven] = [&mut self.rates, &mut self.spikes, &mut self.broken, &mut self.driven]
            .map(|noted| noted.take().unwrap_or_default());
        (rates, spikes, broken, driven)
    }

    /// Adds the values that the steps of a loop noted, each with time as axis 0.
    pub fn note_all(&mut self, (rates, spikes, broken, driven): Noted) {
        let add = |all: &mut Option<Tensors>, noted: Tensors, over_time: fn(&Tensor) -> Tensor| {
            let noted = noted.iter().map(|(path, steps)| (path.clone(), over_time(steps)));
            if let Some(all) = all {
                all.extend(noted);
            }
        };
        add(&mut self.rates, rates, |rate| rate.reduce_mean([0]));
        add(&mut self.spikes, spikes, |spikes| spikes.reduce_sum([0]));
        add(&mut self.broken, broken, |broken| broken.reduce_max([0]));
        add(&mut self.driven, driven, Tensor::clone);
    }
}

impl Step<'_> {
    /// The graph of the trace.
    pub fn graph(&self) -> Graph {
        self.graph.clone()
    }

    /// The layer's path, for example `core/layers/0`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The parameter of this name.
    ///
    /// # Errors
    /// Recorded in the trace if there is none.
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Tensor {
        let path = format!("{}/{name}", self.path);
        self.model.parameters.get(&path).cloned().unwrap_or_else(|| self.missing("parameter", &path))
    }

    /// The state of this name, as the previous step left it.
    ///
    /// # Errors
    /// Recorded in the trace if there is none: the layer did not declare it.
    #[track_caller]
    pub fn state(&self, name: &str) -> Tensor {
        let path = format!("{}/{name}", self.path);
        self.model.states.get(&path).cloned().unwrap_or_else(|| self.missing("state", &path))
    }

    /// Sets the state of this name for the next step.
    pub fn set_state(&mut self, name: &str, value: Tensor) {
        self.note_broken(&value);
        self.model.states.insert(format!("{}/{name}", self.path), value);
    }

    /// Whether the model is being trained.
    pub fn is_training(&self) -> bool {
        self.model.statistics.is_some()
    }

    /// The running statistic of this name, as the previous training step left it.
    ///
    /// # Errors
    /// Recorded in the trace if there is none.
    #[track_caller]
    pub fn statistic(&self, name: &str) -> Tensor {
        self.parameter(name).stop_gradient()
    }

    /// Sets the running statistic of this name for the next training step; has no effect outside training.
    pub fn set_statistic(&mut self, name: &str, value: &Tensor) {
        let path = format!("{}/{name}", self.path);
        if let Some(all) = &mut self.model.statistics {
            all.insert(path, value.stop_gradient());
        }
    }

    /// A fresh key for this training step; `None` outside training.
    ///
    /// The n-th call of time step t gives `fold_in(fold_in(key, t), n)`, with the key of the run; a call by a layer that
    /// processes all steps at once counts as one of the last possible step, 2³² - 1.
    #[track_caller]
    pub fn key(&mut self) -> Option<GraphKey> {
        let [last, count] = [u32::MAX, self.model.drawn].map(|number| self.graph.scalar(DType::U32, f64::from(number)));
        self.model.drawn += 1;
        let key = self.model.key.as_ref()?;
        let key = if self.model.whole { key.fold_in(&last) } else { key.clone() };
        Some(key.fold_in(&count))
    }

    /// The keys of the steps of a sequence [T, …], u32[T, 2], if the model draws.
    #[track_caller]
    pub(super) fn step_keys(&self, sequence: Option<&Tensor>) -> Option<Tensor> {
        let key = self.model.key.as_ref()?;
        let steps = sequence?.dims().first().copied().unwrap_or_default();
        let times = self.graph.iota(TensorType::new(DType::U32, [steps]), 0);
        Some(vmap(&times, |time| key.fold_in(&time).to_tensor()))
    }

    /// Runs `f` as a part of this layer: under `name`, in paths and in the module path of the recorded operations.
    pub fn inside<R>(&mut self, name: &str, f: impl FnOnce(&mut Step<'_>) -> R) -> R {
        let (graph, path) = (self.graph.clone(), format!("{}/{name}", self.path));
        let mut part = Step { graph: graph.clone(), path, model: &mut *self.model };
        graph.scope(name, || f(&mut part))
    }

    /// Notes the fraction of ones in this layer's output, if rates are requested.
    pub(super) fn note_rate(&mut self, spikes: &Tensor) {
        if let Some(rates) = &mut self.model.rates {
            let first = usize::from(self.model.whole);
            let axes: Vec<usize> = (0..spikes.rank()).filter(|axis| *axis != first).collect();
            rates.insert(self.path.clone(), spikes.reduce_mean(&axes));
        }
    }

    /// Notes the operand of the synaptic weights, if requested.
    pub(super) fn note_driven(&mut self, by: &Tensor) {
        if let Some(driven) = &mut self.model.driven {
            driven.insert(self.path.clone(), by.clone());
        }
    }

    /// Notes this layer's spikes, if they are counted.
    pub(super) fn note_spikes(&mut self, spikes: &Tensor) {
        if let Some(all) = &mut self.model.spikes {
            let spikes = if self.model.whole { spikes.reduce_sum([0]) } else { spikes.clone() };
            all.insert(self.path.clone(), spikes);
        }
    }

    /// Notes whether all elements are finite, if requested.
    pub(super) fn note_broken(&mut self, given: &Tensor) {
        let Some(all) = self.model.broken.as_mut().filter(|_| given.is_poison() || given.dtype().is_float()) else {
            return;
        };
        let axes: Vec<usize> = (0..given.rank()).collect();
        let broken = given.is_finite().not().convert(DType::F32).reduce_max(&axes);
        let broken = all.get(&self.path).map_or_else(|| broken.clone(), |before| before.maximum(&broken));
        all.insert(self.path.clone(), broken);
    }

    #[track_caller]
    fn missing(&self, what: &str, path: &str) -> Tensor {
        self.graph.fail("run", Violation::new("", format!("there is no {what} {path}")))
    }
}
