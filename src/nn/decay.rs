//! Decays per time step, as Spyx's neurons have them. Knows no neuron.

use spiq_hlo::Tensor;

use super::parameter::{Init, Parameter};
use super::step::Step;

/// A decay's parameter: a scalar of this value, or one for each neuron as Spyx draws them.
pub(super) fn decay_parameter(name: &str, value: Option<f64>, shape: &[usize]) -> Parameter {
    match value {
        Some(value) => Parameter::new(name, [], Init::Constant(value)),
        None => Parameter::new(name, shape, Init::SpyxBeta),
    }
}

/// Whether decays of these names are what is left after a step.
pub(super) fn check_decays(decays: &[(&'static str, Option<f64>)]) -> Result<(), (&'static str, String)> {
    for &(name, decay) in decays {
        if let Some(decay) = decay.filter(|decay| !(0.0..=1.0).contains(decay)) {
            return Err((name, format!("is {decay}, but must be from 0 to 1: the share that a step leaves")));
        }
    }
    Ok(())
}

/// A decay in use.
#[track_caller]
pub(super) fn decay(at: &Step<'_>, name: &str) -> Tensor {
    clipped(&at.parameter(name))
}

/// Clipped to [0, 1]. At the very ends half of the gradient passes, as with `jnp.clip`.
#[track_caller]
pub(super) fn clipped(decay: &Tensor) -> Tensor {
    decay.maximum(0.0).minimum(1.0)
}
