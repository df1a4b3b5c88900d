//! Lion: steps by the sign of a moving average.

use super::descent::descend;
use super::describe::described;
use super::schedule::Schedule;
use super::transformation::GradientTransformation;
use super::tree::{COUNT, count, count_type, increment, moment, under, zip};
use crate::by_path::{Tensors, Types};

/// Lion. State: `count`, `mu/…` (moving average of gradients).
///
/// Source: Chen et al. 2023, arXiv:2302.06675; `optax.lion`.
///
/// ```
/// use spiq::optim::{Lion, lion};
/// let optimizer = Lion { weight_decay: 0.0, ..lion(1e-3) };
/// ```
#[derive(Clone, Debug)]
pub struct Lion {
    /// Step size.
    pub learning_rate: Schedule,
    /// Weight of the average relative to the gradient in a step's direction.
    pub b1: f64,
    /// Decay of the average per step.
    pub b2: f64,
    /// Decoupled weight decay: each step subtracts this fraction of a parameter, times the learning rate.
    pub weight_decay: f64,
}

/// [`Lion`] with b1 0.9, b2 0.99 and a weight decay of 1e-3. Source: `optax.lion`.
pub fn lion(learning_rate: impl Into<Schedule>) -> Lion {
    Lion { learning_rate: learning_rate.into(), b1: 0.9, b2: 0.99, weight_decay: 1e-3 }
}

impl GradientTransformation for Lion {
    fn state_types(&self, params: &Types) -> Types {
        let mut types = under("mu", params);
        types.extend([count_type()]);
        types
    }
    fn update(&self, grads: &Tensors, state: &Tensors, params: &Tensors) -> (Tensors, Tensors) {
        let Some(count) = count("lion", grads, state) else { return Default::default() };
        let direction = zip("lion", grads, state, "mu", |g, m| ((1.0 - self.b1) * g + self.b1 * m).sign());
        let updates = descend("lion", &direction, params, self.weight_decay, &self.learning_rate, &count);
        let mut next = under("mu", &moment("lion", grads, state, "mu", self.b2));
        next.insert(COUNT.to_owned(), increment(&count));
        (updates, next)
    }
    fn describe(&self) -> String {
        described!(self, Lion = "lion"(learning_rate; b1, b2, weight_decay), lion(self.learning_rate.clone()))
    }
}
