//! The optimizer trait: a stateful transformation of gradients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use spiq_hlo::{Array, Tensor, TensorType};

use super::tree::zip;
use crate::by_path::Tensors;

/// Transforms gradients into updates, with a state carried from step to step. Source: `optax.GradientTransformation`.
///
/// Gradients, updates and parameters are maps with the same paths and types; the state has separate paths.
pub trait GradientTransformation: fmt::Debug + Send + Sync {
    /// The types of the state, for parameters of these types.
    fn state_types(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, TensorType>;

    /// The state before the first step; zeros by default.
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

    /// Like [`update`](GradientTransformation::update), for transformations that also read the loss, such as
    /// [`ReduceOnPlateau`](super::ReduceOnPlateau); others ignore it. `value` is the loss, a scalar. Training calls this method. Source:
    /// `optax.GradientTransformationExtraArgs`.
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

    /// The folder of the state with an average of the parameters, by their paths, which tests and files use instead of the parameters;
    /// `None` without an average.
    fn average(&self) -> Option<String> {
        None
    }

    /// Everything that determines the result, as text. The files of a run store it, and a run can only be resumed with the same text.
    ///
    /// The default is the `Debug` text, which contains every field if derived.
    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// Forwards to the shared transformation.
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

/// Implements both update methods by `step`, for a transformation that wraps others.
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

/// A step, with the loss if available.
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
