//! What a layer sees during one time step: parameters and state under its own path. Knows no particular layer.

use spiq_hlo::{DType, Graph, Tensor, Violation};

use crate::by_path::Tensors;
use crate::random::GraphKey;

/// One time step of one layer: its path, and what stands under it.
#[derive(Debug)]
pub struct Step<'a> {
    pub(super) graph: Graph,
    pub(super) path: String,
    pub(super) model: &'a mut ModelStep,
}

/// One time step of the whole model.
#[derive(Debug)]
pub(super) struct ModelStep {
    pub parameters: Tensors,
    pub states: Tensors,
    /// What this step draws from, in training.
    pub key: Option<GraphKey>,
    /// How many keys were handed out.
    pub drawn: u32,
    /// For each layer that fires, the share of its neurons that do, [B]; where rates are wanted.
    pub rates: Option<Tensors>,
    /// What synapses are multiplied with, by the path of their layer; where it is wanted.
    pub driven: Option<Tensors>,
    /// For each layer that fires, its spikes, [B, …]; where they are to be counted.
    pub spikes: Option<Tensors>,
    /// For each layer, 1 where it gives or keeps a number that is not finite, else 0; where that is wanted.
    pub broken: Option<Tensors>,
}

impl Step<'_> {
    /// The layer's path, for example `core/layers/0`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The parameter of this name.
    ///
    /// # Errors
    /// Kept in the trace where there is none.
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Tensor {
        let path = format!("{}/{name}", self.path);
        self.model.parameters.get(&path).cloned().unwrap_or_else(|| self.missing("parameter", &path))
    }

    /// The state of this name, as the step before left it.
    ///
    /// # Errors
    /// Kept in the trace where there is none: the layer did not declare it.
    #[track_caller]
    pub fn state(&self, name: &str) -> Tensor {
        let path = format!("{}/{name}", self.path);
        self.model.states.get(&path).cloned().unwrap_or_else(|| self.missing("state", &path))
    }

    /// Leaves the state of this name to the next step.
    pub fn set_state(&mut self, name: &str, value: Tensor) {
        self.note_broken(&value);
        self.model.states.insert(format!("{}/{name}", self.path), value);
    }

    /// A key of one's own for this step of training; `None` where the model is not trained, only used.
    ///
    /// The n-th call of time step t gives `fold_in(fold_in(key, t), n)`, with the key of the run.
    #[track_caller]
    pub fn key(&mut self) -> Option<GraphKey> {
        let count = self.graph.scalar(DType::U32, f64::from(self.model.drawn));
        self.model.drawn += 1;
        self.model.key.as_ref().map(|key| key.fold_in(&count))
    }

    /// Runs `f` as a part of this layer: under `name`, in paths and in the module path of what is recorded.
    pub fn inside<R>(&mut self, name: &str, f: impl FnOnce(&mut Step<'_>) -> R) -> R {
        let (graph, path) = (self.graph.clone(), format!("{}/{name}", self.path));
        let mut part = Step { graph: graph.clone(), path, model: &mut *self.model };
        graph.scope(name, || f(&mut part))
    }

    /// Notes the share of ones in this layer's output, where rates are wanted.
    pub(super) fn note_rate(&mut self, spikes: &Tensor) {
        if let Some(rates) = &mut self.model.rates {
            let axes: Vec<usize> = (1..spikes.rank()).collect();
            rates.insert(self.path.clone(), spikes.reduce_mean(&axes));
        }
    }

    /// Notes what synapses are multiplied with, where that is wanted.
    pub(super) fn note_driven(&mut self, by: &Tensor) {
        if let Some(driven) = &mut self.model.driven {
            driven.insert(self.path.clone(), by.clone());
        }
    }

    /// Notes this layer's spikes, where they are counted.
    pub(super) fn note_spikes(&mut self, spikes: &Tensor) {
        if let Some(all) = &mut self.model.spikes {
            all.insert(self.path.clone(), spikes.clone());
        }
    }

    /// Notes whether all of this is finite, where that is wanted.
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
