//! What a layer sees during one time step: parameters and state under its own path. Knows no particular layer.

use std::collections::BTreeMap;

use spiq_hlo::{Graph, Tensor, Violation};

/// One time step of one layer: its path, and what stands under it.
#[derive(Debug)]
pub struct Step<'a> {
    pub(super) graph: Graph,
    pub(super) path: String,
    pub(super) parameters: &'a BTreeMap<String, Tensor>,
    pub(super) states: &'a mut BTreeMap<String, Tensor>,
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
        self.parameters.get(&path).cloned().unwrap_or_else(|| self.missing("parameter", &path))
    }

    /// The state of this name, as the step before left it.
    ///
    /// # Errors
    /// Kept in the trace where there is none: the layer did not declare it.
    #[track_caller]
    pub fn state(&self, name: &str) -> Tensor {
        let path = format!("{}/{name}", self.path);
        self.states.get(&path).cloned().unwrap_or_else(|| self.missing("state", &path))
    }

    /// Leaves the state of this name to the next step.
    pub fn set_state(&mut self, name: &str, value: Tensor) {
        self.states.insert(format!("{}/{name}", self.path), value);
    }

    /// Runs `f` as a part of this layer: under `name`, in paths and in the module path of what is recorded.
    pub fn inside<R>(&mut self, name: &str, f: impl FnOnce(&mut Step<'_>) -> R) -> R {
        let (graph, path) = (self.graph.clone(), format!("{}/{name}", self.path));
        let mut part = Step { graph: graph.clone(), path, parameters: self.parameters, states: &mut *self.states };
        graph.scope(name, || f(&mut part))
    }

    #[track_caller]
    fn missing(&self, what: &str, path: &str) -> Tensor {
        self.graph.fail("run", Violation::new("", format!("there is no {what} {path}")))
    }
}
