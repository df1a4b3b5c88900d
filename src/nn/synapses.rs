//! How many operations the synapses of a model do. Counts, and knows no particular layer.

use std::collections::BTreeMap;

use spiq_hlo::{DType, DotDims, Tensor};

use super::layer::{Layer, Synapses};
use super::sequential::Sequential;
use super::step::{ModelStep, Step};
use crate::by_path::Tensors;

impl Sequential {
    /// How many weights that are not zero meet an element that is not zero, for each output of each layer with
    /// [synapses](Layer::synapses), by its path. `counts` says how often each element of what they are multiplied with was not zero
    /// ([1, …], by path), `weights` holds the parameters. Biases do not count.
    #[track_caller]
    pub(crate) fn operations(&self, weights: &Tensors, counts: &Tensors) -> Tensors {
        let mut operations = BTreeMap::new();
        for (i, layer) in self.layers().iter().enumerate() {
            let path = format!("{}/layers/{i}", self.name());
            if let (Some(synapses), Some(counts)) = (layer.synapses(), counts.get(&path)) {
                operations.insert(path.clone(), of_layer(layer.as_ref(), synapses, &path, weights, counts));
            }
        }
        operations
    }
}

#[track_caller]
fn of_layer(layer: &dyn Layer, synapses: Synapses, path: &str, weights: &Tensors, counts: &Tensor) -> Tensor {
    let own = weights.iter().filter(|(name, _)| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
    let parameters = own.map(|(name, weight)| {
        let counted = if name.ends_with("/bias") { weight.zeros_like() } else { weight.ne(0.0).convert(DType::F32) };
        (name.clone(), counted)
    });
    let mut step = ModelStep { parameters: parameters.collect(), ..ModelStep::default() };
    let mut at = Step { graph: counts.graph().clone(), path: path.to_owned(), model: &mut step };
    match synapses {
        Synapses::OfInput => layer.step(&mut at, counts),
        Synapses::OfOwnSpikes(name) => {
            let axes = counts.rank().saturating_sub(1);
            let dims =
                DotDims { lhs_contract: (1..=axes).collect(), rhs_contract: (0..axes).collect(), ..DotDims::default() };
            counts.dot_general(&at.parameter(name), &dims, DType::F32)
        }
    }
}
