//! The optimizers by name, with optax's defaults.

use std::sync::Arc;

use super::schedule::Schedule;
use super::transformation::GradientTransformation;
use super::{Adam, Lion, Sgd, adam, adamw, lion, sgd};
use crate::choice::{Arguments, Choice, DECAY, NOT_NEGATIVE, SHARE};
use crate::error::Result;

/// Makes an optimizer from its learning rate.
pub type OfRate = Arc<dyn Fn(Schedule) -> Box<dyn GradientTransformation> + Send + Sync>;

/// Makes an optimizer from its arguments.
pub type MakeOptimizer = fn(&mut Arguments) -> Result<OfRate>;

/// The optimizers by name, with optax's defaults except for the learning rate.
pub const OPTIMIZERS: &[Choice<MakeOptimizer>] = &[
    Choice {
        name: "lion",
        about: "the sign of a moving average (b1 = 0.9, b2 = 0.99, weight_decay = 0.001)",
        make: |a| {
            let [b1, b2] = [a.number("b1", 0.9, SHARE)?, a.number("b2", 0.99, SHARE)?];
            let weight_decay = a.number("weight_decay", 1e-3, NOT_NEGATIVE)?;
            of_rate(move |rate| Lion { b1, b2, weight_decay, ..lion(rate) })
        },
    },
    Choice {
        name: "adam",
        about: "moving averages of gradients and of their squares (b1 = 0.9, b2 = 0.999, eps = 1e-8, eps_root = 0, nesterov = false)",
        make: |a| {
            let with = moments(a)?;
            of_rate(move |rate| with(adam(rate)))
        },
    },
    Choice {
        name: "adamw",
        about: "adam with decoupled weight decay (weight_decay = 0.0001, and the arguments of adam)",
        make: |a| {
            let weight_decay = a.number("weight_decay", 1e-4, NOT_NEGATIVE)?;
            let with = moments(a)?;
            of_rate(move |rate| Adam { weight_decay, ..with(adamw(rate)) })
        },
    },
    Choice {
        name: "sgd",
        about: "gradient descent, optionally with momentum (momentum, nesterov = false)",
        make: |a| {
            let (momentum, nesterov) = (a.optional("momentum", SHARE)?, a.flag("nesterov", false)?);
            if nesterov && momentum.is_none() {
                return Err(a.error("cannot use nesterov without momentum; give `momentum` as well"));
            }
            of_rate(move |rate| Sgd { momentum, nesterov, ..sgd(rate) })
        },
    },
];

fn of_rate<G: GradientTransformation + 'static>(
    make: impl Fn(Schedule) -> G + Send + Sync + 'static,
) -> Result<OfRate> {
    Ok(Arc::new(move |rate| Box::new(make(rate))))
}

/// The arguments that adam and adamw share.
fn moments(a: &mut Arguments) -> Result<impl Fn(Adam) -> Adam + Send + Sync + use<>> {
    let [b1, b2] = [a.number("b1", 0.9, DECAY)?, a.number("b2", 0.999, DECAY)?];
    let [eps, eps_root] = [a.number("eps", 1e-8, NOT_NEGATIVE)?, a.number("eps_root", 0.0, NOT_NEGATIVE)?];
    let nesterov = a.flag("nesterov", false)?;
    Ok(move |adam: Adam| Adam { b1, b2, eps, eps_root, nesterov, ..adam })
}
