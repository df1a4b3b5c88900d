//! Moving averages of updates and of the parameters.

use std::collections::BTreeMap;

use spiq_hlo::{Array, Tensor, TensorType};

use super::transformation::{GradientTransformation, apply_updates, step, updates_by_step};
use super::tree::{COUNT, count, count_type, increment, map, moment, of_folder, unbiased, under, zip};
use crate::by_path::{Tensors, Types};

/// Replaces updates by their exponential moving average. State: `count`, `ema/…`. Source: `optax.ema`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ema {
    /// The fraction of the average that a step keeps.
    pub decay: f64,
    /// Whether to correct the bias from starting at zero.
    pub debias: bool,
}

/// A bias-corrected [`Ema`].
pub fn ema(decay: f64) -> Ema {
    Ema { decay, debias: true }
}

const EMA: &str = "ema";

impl GradientTransformation for Ema {
    fn state_types(&self, params: &Types) -> Types {
        under(EMA, params).into_iter().chain([count_type()]).collect()
    }
    fn update(&self, grads: &Tensors, state: &Tensors, _: &Tensors) -> (Tensors, Tensors) {
        let Some(count) = count(EMA, grads, state) else { return Default::default() };
        let (average, after) = (moment(EMA, grads, state, EMA, self.decay), increment(&count));
        let updates = if self.debias { unbiased(&average, self.decay, &after) } else { average.clone() };
        (updates, under(EMA, &average).into_iter().chain([(COUNT.to_owned(), after)]).collect())
    }
    fn describe(&self) -> String {
        let debias = if self.debias { "" } else { ", debias=false" };
        format!("ema({}{debias})", self.decay)
    }
}

/// Wraps a transformation and keeps a moving average of the parameters: after each step, the bias-corrected [`Ema`] of the updated
/// parameters. The updates are unchanged. State: `count`, `average/…`, `inner/…`.
///
/// The stored average is already bias-corrected, so readers need not divide: in step n it moves by `(1 - decay) / (1 - decay^n)` of its
/// distance from the parameters, which equals optax's average divided by its bias.
///
/// ```
/// use spiq::optim::{GradientTransformation, adam, average_params};
/// assert_eq!(average_params(adam(1e-3), 0.999).describe(), "average_params(adam(0.001), 0.999)");
/// ```
#[derive(Debug)]
pub struct AverageParams {
    inner: Box<dyn GradientTransformation>,
    decay: f64,
}

/// An [`AverageParams`] around a transformation; `decay` is the fraction of the average that a step keeps.
pub fn average_params(inner: impl Into<Box<dyn GradientTransformation>>, decay: f64) -> AverageParams {
    AverageParams { inner: inner.into(), decay }
}

const AVERAGE: &str = "average";
const INNER: &str = "inner";

impl AverageParams {
    fn step(&self, grads: &Tensors, state: &Tensors, params: &Tensors, value: Option<&Tensor>) -> (Tensors, Tensors) {
        let Some(count) = count("average_params", grads, state) else { return Default::default() };
        let (updates, inner) = step(&*self.inner, grads, &of_folder(INNER, state), params, value);
        let after = increment(&count);
        let ones: Tensors = map(grads, |g| g.full_like(1.0 - self.decay));
        let share = unbiased(&ones, self.decay, &after);
        let now = apply_updates(params, &updates);
        let off = zip("average_params", &now, state, AVERAGE, |p, average| p - average);
        let moved = zip("average_params", &off, &share, "", |off, share| off * share);
        let average = zip("average_params", &moved, state, AVERAGE, |moved, average| average + moved);
        let mut next = under(AVERAGE, &average);
        next.extend(under(INNER, &inner));
        next.insert(COUNT.to_owned(), after);
        (updates, next)
    }
}

impl GradientTransformation for AverageParams {
    fn state_types(&self, params: &Types) -> Types {
        let mut types = under(AVERAGE, params);
        types.extend(under(INNER, &self.inner.state_types(params)));
        types.extend([count_type()]);
        types
    }
    fn init(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, Array> {
        let zeros = self.state_types(params).into_iter().map(|(path, ty)| (path, Array::zeros(ty)));
        zeros.chain(under(INNER, &self.inner.init(params))).collect()
    }
    updates_by_step!();
    fn average(&self) -> Option<String> {
        Some(AVERAGE.to_owned())
    }
    fn describe(&self) -> String {
        format!("average_params({}, {})", self.inner.describe(), self.decay)
    }
}
