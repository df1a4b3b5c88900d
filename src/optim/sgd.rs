//! Stochastic gradient descent, with or without momentum.

use super::descent::descend;
use super::describe::described;
use super::schedule::Schedule;
use super::transformation::GradientTransformation;
use super::tree::{COUNT, count, count_type, increment, under, zip};
use crate::by_path::{Tensors, Types};

/// Stochastic gradient descent. State: `count`; with momentum also `trace/…`. Source: `optax.sgd`.
///
/// ```
/// use spiq::optim::{Sgd, sgd};
/// let optimizer = Sgd { momentum: Some(0.9), nesterov: true, ..sgd(0.1) };
/// ```
#[derive(Clone, Debug)]
pub struct Sgd {
    /// Step size.
    pub learning_rate: Schedule,
    /// The fraction of the previous gradient trace that is kept: `trace ← g + momentum · trace`.
    pub momentum: Option<f64>,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
}

/// [`Sgd`] without momentum. Source: `optax.sgd`.
#[doc(alias = "SGD")]
pub fn sgd(learning_rate: impl Into<Schedule>) -> Sgd {
    Sgd { learning_rate: learning_rate.into(), momentum: None, nesterov: false }
}

impl GradientTransformation for Sgd {
    fn state_types(&self, params: &Types) -> Types {
        let mut types = if self.momentum.is_some() { under("trace", params) } else { Types::new() };
        types.extend([count_type()]);
        types
    }
    fn update(&self, grads: &Tensors, state: &Tensors, params: &Tensors) -> (Tensors, Tensors) {
        let Some(count) = count("sgd", grads, state) else { return Default::default() };
        let mut next = Tensors::from([(COUNT.to_owned(), increment(&count))]);
        let mut direction = grads.clone();
        if let Some(momentum) = self.momentum {
            let trace = zip("sgd", grads, state, "trace", |g, t| g + momentum * t);
            let ahead = || zip("sgd", grads, &trace, "", |g, t| g + momentum * t);
            direction = if self.nesterov { ahead() } else { trace.clone() };
            next.extend(under("trace", &trace));
        }
        (descend("sgd", &direction, params, 0.0, &self.learning_rate, &count), next)
    }
    fn describe(&self) -> String {
        described!(self, Sgd = "sgd"(learning_rate; momentum, nesterov), sgd(self.learning_rate.clone()))
    }
}
