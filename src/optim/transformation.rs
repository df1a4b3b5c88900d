//! The optimizer trait: a stateful transformation of gradients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use spiq_hlo::{Array, Tensor, TensorType, Tree, Violation};

use super::tree::zip;
use crate::by_path::Tensors;

/// The state of an optimizer, by path. Source: `optax.OptState`.
pub type OptState<T = Tensor> = BTreeMap<String, T>;

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

    /// [`init`](GradientTransformation::init) for a tree of parameters. Source: optax's `tx.init(params)`.
    ///
    /// ```
    /// use spiq::{Array, optim::{GradientTransformation, adam}};
    /// let params = (vec![Array::scalar(1.0f32)], Array::scalar(2.0f32));
    /// assert_eq!(adam(0.1).init_tree(&params).into_keys().collect::<Vec<_>>(), ["count", "mu/0/0", "mu/1", "nu/0/0", "nu/1"]);
    /// ```
    fn init_tree<P: Tree<Array>>(&self, params: &P) -> OptState<Array>
    where
        Self: Sized,
    {
        self.init(&params.by_path().into_iter().map(|(path, array)| (path, array.ty().clone())).collect())
    }

    /// [`update`](GradientTransformation::update) for trees of gradients and parameters: a tree of updates and the next state. Source:
    /// optax's `tx.update(grads, state, params)`.
    ///
    /// # Errors
    /// As for [`update`](GradientTransformation::update); kept in the trace, with the path of the leaf that differs.
    #[track_caller]
    fn update_tree<P: Tree>(&self, grads: &P, state: &OptState, params: &P) -> (P, OptState)
    where
        Self: Sized,
    {
        let (updates, next) = self.update(&tensors(grads), state, &tensors(params));
        (with_tensors("update", grads, &updates), next)
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
pub fn apply_updates<P: Tree>(params: &P, updates: &P) -> P {
    with_tensors("apply_updates", params, &zip("apply_updates", &tensors(params), &tensors(updates), "", |p, u| p + u))
}

/// The leaves of a tree by path.
pub(crate) fn tensors(tree: &impl Tree) -> Tensors {
    tree.by_path().into_iter().map(|(path, leaf)| (path, leaf.clone())).collect()
}

/// The tree with the tensor at its path for each leaf; a missing one is an error of `op`.
#[track_caller]
pub(crate) fn with_tensors<P: Tree>(op: &str, tree: &P, tensors: &Tensors) -> P {
    let paths = tree.paths();
    let mut paths = paths.iter();
    tree.map(|leaf| {
        let path = paths.next().expect("a path for each leaf");
        let missing = || leaf.graph().fail(op, Violation::new("", format!("{path} is missing")));
        tensors.get(path).cloned().unwrap_or_else(missing)
    })
}
