//! Applies transformations in sequence.

use std::collections::BTreeMap;

use spiq_hlo::{Array, Tensor, TensorType};

use super::transformation::{GradientTransformation, step, updates_by_step};
use super::tree::{of_folder, under};
use crate::by_path::{Tensors, Types};

/// A sequence of transformations; the state of the `i`-th is under `i/`. Source: `optax.chain`.
///
/// ```
/// use spiq::optim::{GradientTransformation, adam, chain, clip_by_global_norm};
/// use spiq_hlo::{DType, TensorType};
/// let optimizer = chain([clip_by_global_norm(1.0).into(), adam(1e-3).into()]);
/// let state = optimizer.init(&[("w".to_owned(), TensorType::new(DType::F32, [4]))].into());
/// assert_eq!(state.keys().collect::<Vec<_>>(), ["1/count", "1/mu/w", "1/nu/w"]);
/// ```
#[derive(Debug)]
pub struct Chain(Vec<Box<dyn GradientTransformation>>);

/// A [`Chain`] of these parts, applied in order.
pub fn chain(parts: impl IntoIterator<Item = Box<dyn GradientTransformation>>) -> Chain {
    Chain(parts.into_iter().collect())
}

impl<G: GradientTransformation + 'static> From<G> for Box<dyn GradientTransformation> {
    fn from(transformation: G) -> Box<dyn GradientTransformation> {
        Box::new(transformation)
    }
}

impl Chain {
    fn step(&self, grads: &Tensors, state: &Tensors, params: &Tensors, value: Option<&Tensor>) -> (Tensors, Tensors) {
        let (mut updates, mut next) = (grads.clone(), Tensors::new());
        for (i, part) in self.0.iter().enumerate() {
            let folder = i.to_string();
            let (changed, after) = step(&**part, &updates, &of_folder(&folder, state), params, value);
            updates = changed;
            next.extend(under(&folder, &after));
        }
        (updates, next)
    }
}

impl GradientTransformation for Chain {
    fn state_types(&self, params: &Types) -> Types {
        let each = self.0.iter().enumerate();
        each.flat_map(|(i, part)| under(&i.to_string(), &part.state_types(params))).collect()
    }
    fn init(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, Array> {
        let each = self.0.iter().enumerate();
        each.flat_map(|(i, part)| under(&i.to_string(), &part.init(params))).collect()
    }
    updates_by_step!();
    fn average(&self) -> Option<String> {
        self.0.iter().enumerate().find_map(|(i, part)| Some(format!("{i}/{}", part.average()?)))
    }
    fn describe(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|part| part.describe()).collect();
        format!("chain({})", parts.join(", "))
    }
}
