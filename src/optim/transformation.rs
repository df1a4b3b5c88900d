//! What an optimizer is: a change of gradients that keeps a state. Knows no particular optimizer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use spiq_hlo::{Array, Tensor, TensorType};

use super::tree::zip;
use crate::by_path::Tensors;

/// A change of gradients into updates, with a state that is carried from step to step. Source:
/// `optax.GradientTransformation`.
///
/// Gradients, updates and parameters are maps with the same paths and types; the state has paths of its own.
pub trait GradientTransformation: fmt::Debug + Send + Sync {
    /// The types of the state, for parameters of these types.
    fn state_types(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, TensorType>;

    /// The state before the first step: zeros, unless it says another one.
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

    /// Like [`update`](GradientTransformation::update), for one that reads the loss as well, as
    /// [`ReduceOnPlateau`](super::ReduceOnPlateau) does; others pass it over. `value` is the loss, a scalar. Training calls this
    /// one. Source: `optax.GradientTransformationExtraArgs`.
    ///
    /// # Errors
    /// As for [`update`](GradientTransformation::update).
    #[track_caller]
    fn update_with_value(
        &self,
        grads: &BTreeMap<String, Tensor>,
        state: &BTreeMap<String, Tensor>,
        params: &BTreeMap<String, Tensor>,
        value: &Tensor,
    ) -> (BTreeMap<String, Tensor>, BTreeMap<String, Tensor>) {
        let _ = value;
        self.update(grads, state, params)
    }

    /// The folder of the state in which an average of the parameters stands, by their paths, that tests and files are to use in
    /// their place; `None` where there is none.
    fn average(&self) -> Option<String> {
        None
    }

    /// All that decides what it computes, as text: files of a run keep it, and a run resumes with the same text only.
    ///
    /// Without one of its own it is the `Debug` text, which names every field where it is derived.
    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// The same, held by several.
impl<G: GradientTransformation + ?Sized> GradientTransformation for Arc<G> {
    fn state_types(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, TensorType> {
        (**self).state_types(params)
    }
    fn init(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, Array> {
        (**self).init(params)
    }
    fn update(&self, grads: &Tensors, state: &Tensors, params: &Tensors) -> (Tensors, Tensors) {
        (**self).update(grads, state, params)
    }
    fn update_with_value(
        &self,
        grads: &Tensors,
        state: &Tensors,
        params: &Tensors,
        value: &Tensor,
    ) -> (Tensors, Tensors) {
        (**self).update_with_value(grads, state, params, value)
    }
    fn average(&self) -> Option<String> {
        (**self).average()
    }
    fn describe(&self) -> String {
        (**self).describe()
    }
}

/// The two ways to update, of a transformation around others that has one `step` for both.
macro_rules! updates_by_step {
    () => {
        fn update(&self, grads: &Tensors, state: &Tensors, params: &Tensors) -> (Tensors, Tensors) {
            self.step(grads, state, params, None)
        }
        fn update_with_value(
            &self,
            grads: &Tensors,
            state: &Tensors,
            params: &Tensors,
            value: &Tensor,
        ) -> (Tensors, Tensors) {
            self.step(grads, state, params, Some(value))
        }
    };
}

pub(super) use updates_by_step;

/// A step with the loss, where it is known.
#[track_caller]
pub(super) fn step(
    of: &dyn GradientTransformation,
    grads: &Tensors,
    state: &Tensors,
    params: &Tensors,
    value: Option<&Tensor>,
) -> (Tensors, Tensors) {
    match value {
        Some(value) => of.update_with_value(grads, state, params, value),
        None => of.update(grads, state, params),
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
