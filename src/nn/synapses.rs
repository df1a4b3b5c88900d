//! Counts the synaptic operations of a model.

use std::collections::BTreeMap;

use spiq_hlo::{DType, DotDims, Tensor};

use super::layer::{Layer, Synapses};
use super::sequential::Sequential;
use super::step::{ModelStep, Step};
use crate::by_path::Tensors;

impl Sequential {
    /// For each output of each layer with [synapses](Layer::synapses), by path, the number of nonzero weights that meet a
    /// nonzero element. `counts` holds how often each element of the operand was nonzero ([1, …], by path), `weights` holds the
    /// parameters. Biases do not count.
    #[track_caller]
    pub(crate) fn operations(&self, weights: &Tensors, counts: &Tensors) -> Tensors {
        let mut operations = BTreeMap::new();
        for (path, layer, synapses) in self.with_synapses() {
            if let Some(counts) = counts.get(&path) {
                operations.insert(path.clone(), of_layer(layer, synapses, &path, weights, counts));
            }
        }
        operations
    }

    /// The paths of the synaptic weights, without biases.
    pub(crate) fn synaptic_weights(&self) -> Vec<String> {
        let of = |(path, _, synapses): (String, &dyn Layer, Synapses)| match synapses {
            Synapses::OfInput | Synapses::OfPastInputs => format!("{path}/kernel"),
            Synapses::OfOwnSpikes(name) => format!("{path}/{name}"),
        };
        self.with_synapses().map(of).collect()
    }

    /// The layers with synapses and their paths.
    fn with_synapses(&self) -> impl Iterator<Item = (String, &dyn Layer, Synapses)> {
        self.paths().filter_map(|(path, layer)| Some((path, layer, layer.synapses()?)))
    }

    /// The layers and their paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (String, &dyn Layer)> {
        let layers = self.layers().iter().enumerate();
        layers.map(|(i, layer)| (format!("{}/layers/{i}", self.name()), layer.as_ref()))
    }
}

#[track_caller]
fn of_layer(layer: &dyn Layer, synapses: Synapses, path: &str, weights: &Tensors, counts: &Tensor) -> Tensor {
    let own = weights.iter().filter(|(name, _)| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
    let weight_name = match synapses {
        Synapses::OfInput | Synapses::OfPastInputs => "kernel",
        Synapses::OfOwnSpikes(name) => name,
    };
    let parameters = own.map(|(name, parameter)| {
        let counted = match name[path.len() + 1..] {
            ref part if part == weight_name => parameter.ne(0.0).convert(DType::F32),
            ref part if part == "bias" => parameter.zeros_like(),
            // Determines which input a weight meets, as a delay does.
            _ => parameter.clone(),
        };
        (name.clone(), counted)
    });
    let mut step = ModelStep { parameters: parameters.collect(), ..ModelStep::default() };
    let mut at = Step { graph: counts.graph().clone(), path: path.to_owned(), model: &mut step };
    match synapses {
        Synapses::OfInput | Synapses::OfPastInputs => layer.step(&mut at, counts),
        Synapses::OfOwnSpikes(name) => {
            let axes = counts.rank().saturating_sub(1);
            let dims =
                DotDims { lhs_contract: (1..=axes).collect(), rhs_contract: (0..axes).collect(), ..DotDims::default() };
            counts.dot_general(&at.parameter(name), &dims, DType::F32)
        }
    }
}
