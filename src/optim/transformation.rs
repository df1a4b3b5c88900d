//! What an optimizer is: a change of gradients that keeps a state. Knows no particular optimizer.

use std::collections::BTreeMap;
use std::fmt;

use spiq_hlo::{Array, Tensor, TensorType};

use super::tree::zip;
use crate::by_path::Tensors;

/// A change of gradients into updates, with a state that is carried from step to step. Source:
/// `optax.GradientTransformation`.
///
/// Gradients, updates and parameters are maps with the same paths and types; the state has paths of its own.
pub trait GradientTransformation: fmt::Debug + Send + Sync {
    /// The types of the state, for parameters of these types. The state starts as zeros.
    fn state_types(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, TensorType>;

    /// The state before the first step: zeros.
    fn init(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, Array> {
        self.state_types(params).into_iter().map(|(path, ty)| (path, Array::zeros(ty))).collect()
    }

    /// One step: the updates, which [`apply_updates`] adds to the parameters, and the next state.
    ///
    /// # Errors
    /// Kept in the trace: a path that is missing from the state or the parameters, or has another type there.
    #[track_caller]
    fn update(
        &self,
        grads: &BTreeMap<String, Tensor>,
        state: &BTreeMap<String, Tensor>,
        params: &BTreeMap<String, Tensor>,
    ) -> (BTreeMap<String, Tensor>, BTreeMap<String, Tensor>);

    /// All that decides what it computes, as text: files of a run keep it, and a run resumes with the same text only.
    ///
    /// Without one of its own it is the `Debug` text, which names every field where it is derived.
    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// The parameters with the updates added. Source: `optax.apply_updates`.
///
/// # Errors
/// Kept in the trace: a parameter without an update of its type.
#[track_caller]
pub fn apply_updates(params: &BTreeMap<String, Tensor>, updates: &BTreeMap<String, Tensor>) -> Tensors {
    zip("apply_updates", params, updates, "", |p, u| p + u)
}
