//! What a layer is: declared parameters and state, shapes, one step. Knows no particular layer.

use std::fmt;

use spiq_hlo::Tensor;

use super::parameter::{Parameter, State};
use super::step::Step;

/// A part of a model: plain data that says what it needs and how one time step goes.
///
/// A layer of your own declares its parameters and state and computes with the tensors it finds under their names.
///
/// ```
/// use spiq::nn::{Init, Layer, Parameter, Step};
/// use spiq_hlo::Tensor;
///
/// /// Multiplies each feature by a number of its own.
/// #[derive(Debug)]
/// struct Gain(usize);
///
/// impl Layer for Gain {
///     fn kind(&self) -> &'static str {
///         "Gain"
///     }
///     fn parameters(&self) -> Vec<Parameter> {
///         vec![Parameter::new("gain", [self.0], Init::Ones)]
///     }
///     fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
///         if input == [self.0] { Ok(input.to_vec()) } else { Err(format!("wants {} features", self.0)) }
///     }
///     fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
///         x * at.parameter("gain")
///     }
/// }
/// ```
pub trait Layer: fmt::Debug + Send + Sync {
    /// The name of this kind of layer in messages.
    fn kind(&self) -> &'static str;

    /// The parameters, in the order in which their initial values draw keys.
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// What is carried from step to step.
    fn states(&self) -> Vec<State> {
        Vec::new()
    }

    /// The shape of one sample's output, given that of its input at one step (neither time nor batch).
    ///
    /// # Errors
    /// Says what input is wanted instead.
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String>;

    /// One time step: reads parameters and state, sets the next state, returns the output. Axis 0 of `x` is the batch.
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor;
}

/// The output shape of a layer that keeps the shape it wants.
pub(super) fn keeps(wanted: &[usize], input: &[usize]) -> Result<Vec<usize>, String> {
    if input == wanted { Ok(input.to_vec()) } else { Err(format!("wants {wanted:?} a sample, got {input:?}")) }
}
