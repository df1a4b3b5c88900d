//! Adam, with or without weight decay.

use spiq_hlo::Tensor;

use super::descent::descend;
use super::describe::described;
use super::schedule::Schedule;
use super::transformation::GradientTransformation;
use super::tree::{COUNT, count, count_type, increment, moment, unbiased, under, zip};
use crate::by_path::{Tensors, Types};

/// Adam. State: `count`, `mu/…` (moving average of gradients), `nu/…` (moving average of squared gradients).
///
/// Source: Kingma and Ba 2014, arXiv:1412.6980; `optax.adam`, `optax.adamw`.
///
/// ```
/// use spiq::optim::{Adam, adam, adamw, cosine_decay_schedule};
/// let optimizer = Adam { b1: 0.8, nesterov: true, ..adam(cosine_decay_schedule(2e-3, 1000)) };
/// assert_eq!(adamw(2e-3).weight_decay, 1e-4);
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    /// Step size.
    pub learning_rate: Schedule,
    /// Decay of the gradient average per step.
    pub b1: f64,
    /// Decay of the squared-gradient average per step.
    pub b2: f64,
    /// Added to the square root.
    pub eps: f64,
    /// Added under the square root.
    pub eps_root: f64,
    /// Decoupled weight decay: each step subtracts this fraction of a parameter, times the learning rate.
    pub weight_decay: f64,
    /// Whether to use Nesterov momentum (Dozat 2016).
    pub nesterov: bool,
}

/// [`Adam`] with b1 0.9, b2 0.999, eps 1e-8 and no weight decay. Source: `optax.adam`.
pub fn adam(learning_rate: impl Into<Schedule>) -> Adam {
    let learning_rate = learning_rate.into();
    Adam { learning_rate, b1: 0.9, b2: 0.999, eps: 1e-8, eps_root: 0.0, weight_decay: 0.0, nesterov: false }
}

/// [`adam`] with a weight decay of 1e-4. Source: `optax.adamw`.
#[doc(alias = "AdamW")]
pub fn adamw(learning_rate: impl Into<Schedule>) -> Adam {
    Adam { weight_decay: 1e-4, ..adam(learning_rate) }
}

impl GradientTransformation for Adam {
    fn state_types(&self, params: &Types) -> Types {
        let mut types = under("mu", params);
        types.extend(under("nu", params));
        types.extend([count_type()]);
        types
    }
    fn update(&self, grads: &Tensors, state: &Tensors, params: &Tensors) -> (Tensors, Tensors) {
        let Some(count) = count("adam", grads, state) else { return Default::default() };
        let after = increment(&count);
        let mu = moment("adam", grads, state, "mu", self.b1);
        let nu = zip("adam", grads, state, "nu", |g, v| (1.0 - self.b2) * (g * g) + self.b2 * v);
        let mean = self.mean(grads, &mu, &after);
        let spread = unbiased(&nu, self.b2, &after);
        let direction = zip("adam", &mean, &spread, "", |m, v| m / ((v + self.eps_root).sqrt() + self.eps));
        let updates = descend("adam", &direction, params, self.weight_decay, &self.learning_rate, &count);
        let mut next = under("mu", &mu);
        next.extend(under("nu", &nu));
        next.insert(COUNT.to_owned(), after);
        (updates, next)
    }
    fn describe(&self) -> String {
        let default = adam(self.learning_rate.clone());
        described!(self, Adam = "adam"(learning_rate; b1, b2, eps, eps_root, weight_decay, nesterov), default)
    }
}

impl Adam {
    /// The bias-corrected gradient average.
    fn mean(&self, grads: &Tensors, mu: &Tensors, count: &Tensor) -> Tensors {
        if !self.nesterov {
            return unbiased(mu, self.b1, count);
        }
        let (ahead, now) = (unbiased(mu, self.b1, &increment(count)), unbiased(grads, self.b1, count));
        zip("adam", &ahead, &now, "", |m, g| self.b1 * m + (1.0 - self.b1) * g)
    }
}
