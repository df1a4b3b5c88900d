//! Gradient accumulation: one optimizer step per several batches.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Tensor, TensorType, Violation};

use super::transformation::{GradientTransformation, step, updates_by_step};
use super::tree::{increment, map, of_folder, under, zip};
use crate::by_path::{Tensors, Types};

/// Averages gradients over `every` batches; the last one makes a step of the inner transformation, the updates of the others are zero.
/// State: `mini_step`, `gradient_step`, `acc_grads/…`, `inner/…`. Source: `optax.MultiSteps`.
///
/// ```
/// use spiq::optim::{GradientTransformation, adam, multi_steps};
/// assert_eq!(multi_steps(adam(1e-3), 4).describe(), "multi_steps(adam(0.001), 4)");
/// ```
#[derive(Debug)]
pub struct MultiSteps {
    inner: Box<dyn GradientTransformation>,
    every: u32,
}

/// A [`MultiSteps`] around a transformation.
pub fn multi_steps(inner: impl Into<Box<dyn GradientTransformation>>, every: u32) -> MultiSteps {
    MultiSteps { inner: inner.into(), every }
}

const MINI: &str = "mini_step";
const GRADIENT: &str = "gradient_step";
const SUM: &str = "acc_grads";
const INNER: &str = "inner";

impl MultiSteps {
    fn step(&self, grads: &Tensors, state: &Tensors, params: &Tensors, value: Option<&Tensor>) -> (Tensors, Tensors) {
        let Some(first) = grads.values().next() else { return Default::default() };
        let count = |name: &str| match state.get(name) {
            Some(count) => count.clone(),
            None => first.graph().fail("multi_steps", Violation::new("", format!("{name} is missing from the state"))),
        };
        let (mini, gradient) = (count(MINI), count(GRADIENT));
        let next = increment(&mini);
        let mean = zip("multi_steps", grads, state, SUM, |g, mean| mean + (g - mean) / next.convert(g.dtype()));
        let old = of_folder(INNER, state);
        let (updates, inner) = step(&*self.inner, &mean, &old, params, value);
        let emits = next.eq(f64::from(self.every));
        let zeros = |t: &Tensor| t.zeros_like();
        let choose = |yes: &Tensor, no: &Tensor| emits.select(yes, no);
        let mut after = under(INNER, &zip("multi_steps", &inner, &old, "", choose));
        after.extend(under(SUM, &map(&mean, |mean| choose(&zeros(mean), mean))));
        after.insert(MINI.to_owned(), choose(&zeros(&mini), &next));
        after.insert(GRADIENT.to_owned(), choose(&increment(&gradient), &gradient));
        (map(&updates, |update| choose(update, &zeros(update))), after)
    }
}

impl GradientTransformation for MultiSteps {
    fn state_types(&self, params: &Types) -> Types {
        let mut types = under(SUM, params);
        types.extend(under(INNER, &self.inner.state_types(params)));
        types.extend([MINI, GRADIENT].map(|name| (name.to_owned(), TensorType::scalar(DType::S32))));
        types
    }
    fn init(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, Array> {
        let zeros = self.state_types(params).into_iter().map(|(path, ty)| (path, Array::zeros(ty)));
        zeros.chain(under(INNER, &self.inner.init(params))).collect()
    }
    updates_by_step!();
    fn average(&self) -> Option<String> {
        self.inner.average().map(|folder| format!("{INNER}/{folder}"))
    }
    fn describe(&self) -> String {
        format!("multi_steps({}, {})", self.inner.describe(), self.every)
    }
}
