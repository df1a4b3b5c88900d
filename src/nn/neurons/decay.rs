//! Neuron parameters that are confined to a range, mostly decays per time step.

use spiq_hlo::Tensor;

use super::neuron::Moment;
use crate::nn::parameter::{Init, Parameter};
use crate::nn::step::Step;

/// A decay's parameter: a scalar of this value, or one per neuron, drawn as in Spyx.
pub(super) fn decay_parameter(name: &str, value: Option<f64>, shape: &[usize]) -> Parameter {
    match value {
        Some(value) => Parameter::new(name, [], Init::Constant(value)),
        None => Parameter::new(name, shape, Init::SpyxBeta),
    }
}

/// Checks that the decays of these names are from 0 to 1.
pub(super) fn check_decays(decays: &[(&'static str, Option<f64>)]) -> Result<(), (&'static str, String)> {
    for &(name, decay) in decays {
        if let Some(decay) = decay.filter(|decay| !(0.0..=1.0).contains(decay)) {
            return Err((name, format!("is {decay}, but must be from 0 to 1: the fraction left after one step")));
        }
    }
    Ok(())
}

/// The clipped decay of this name.
#[track_caller]
pub(super) fn decay(at: &Step<'_>, name: &str) -> Tensor {
    clipped(&at.parameter(name))
}

/// The clipped decay of this name, for a neuron that fires.
#[track_caller]
pub(super) fn decay_of(now: &Moment<'_, '_>, name: &str) -> Tensor {
    clipped(&now.parameter(name))
}

/// Clips to [0, 1]. Exactly at the ends, half of the gradient passes, as with `jnp.clip`.
#[track_caller]
pub(super) fn clipped(decay: &Tensor) -> Tensor {
    decay.maximum(0.0).minimum(1.0)
}

/// A parameter that is clipped to a range when used, and is initially uniform over it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranged {
    pub name: &'static str,
    pub low: f64,
    pub high: f64,
}

impl Ranged {
    pub const fn new(name: &'static str, low: f64, high: f64) -> Ranged {
        Ranged { name, low, high }
    }

    /// A scalar of this value, or one drawn for each neuron.
    pub fn parameter(self, value: Option<f64>, shape: &[usize]) -> Parameter {
        match value {
            Some(value) => Parameter::new(self.name, [], Init::Constant(value)),
            None => Parameter::new(self.name, shape, Init::Uniform(self.low, self.high)),
        }
    }

    /// Checks that a given value is in the range.
    pub fn check(self, value: Option<f64>) -> Result<(), (&'static str, String)> {
        match value.filter(|value| !(self.low..=self.high).contains(value)) {
            Some(value) => Err((self.name, format!("is {value}, but must be from {} to {}", self.low, self.high))),
            None => Ok(()),
        }
    }

    /// The clipped values. No gradient passes outside the range.
    #[track_caller]
    pub fn of(self, now: &Moment<'_, '_>) -> Tensor {
        now.parameter(self.name).maximum(self.low).minimum(self.high)
    }
}
