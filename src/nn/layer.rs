//! The `Layer` trait: declared parameters and state, shapes, and one time step.

use std::fmt;
use std::sync::Arc;

use spiq_hlo::Tensor;

use super::parameter::{Parameter, State};
use super::step::Step;

/// A part of a model: plain data that declares its parameters and state and computes one time step.
///
/// A custom layer computes with the tensors it finds under the names of its parameters and state.
///
/// ```
/// use spiq::nn::{Init, Layer, Parameter, Step};
/// use spiq_hlo::Tensor;
///
/// /// Multiplies each feature by a learned gain.
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
///         if input == [self.0] { Ok(input.to_vec()) } else { Err(format!("takes {} features", self.0)) }
///     }
///     fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
///         x * at.parameter("gain")
///     }
/// }
/// ```
pub trait Layer: fmt::Debug + Send + Sync {
    /// The name of this kind of layer in messages and files.
    fn kind(&self) -> &'static str;

    /// The arguments, name and value, as written to a file. A layer that files cannot name has none.
    fn arguments(&self) -> Vec<(&'static str, toml::Value)> {
        Vec::new()
    }

    /// Checks the arguments, individually and together.
    ///
    /// # Errors
    /// An argument's name and the problem, phrased to follow the name: `is 1.5, but must be from 0 to 1`.
    fn check(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }

    /// The parameters, in the order in which their initial values draw keys.
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// The state carried from step to step.
    fn states(&self) -> Vec<State> {
        Vec::new()
    }

    /// Running statistics: arrays that a training step updates and every other pass only reads (flax's `BatchStat`). They are
    /// read like parameters, but no gradient is taken with respect to them.
    fn statistics(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// The trailing axes of one sample's input, as far as the arguments determine them; 0 is a size that they leave open.
    fn takes(&self) -> Vec<usize> {
        Vec::new()
    }

    /// The shape of one sample's output, given the shape of its input at one step (without time and batch). A size of 0 is not
    /// known yet: it fits any required size, and sizes that depend on it are 0 as well.
    ///
    /// # Errors
    /// The input that is required instead: `takes 32 features`.
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String>;

    /// Whether the outputs are spikes, so that a spike rate is meaningful.
    fn fires(&self) -> bool {
        false
    }

    /// The operand of the layer's weights, if it has synapses: a matrix or a window of weights.
    fn synapses(&self) -> Option<Synapses> {
        None
    }

    /// The parameters that it spreads over a larger matrix before multiplying: rules quantize these, not the matrix.
    fn spread(&self) -> &'static [&'static str] {
        &[]
    }

    /// The same layer with a bias, if it multiplies with a parameter `kernel` whose last axis is that of its output.
    fn with_bias(&self) -> Option<Arc<dyn Layer>> {
        None
    }

    /// A factor and a summand per feature, `[features]` each, if the layer computes only `x * factor + summand` after training.
    /// `of` returns its parameters and running statistics by name.
    fn affine(&self, of: &dyn Fn(&str) -> Option<Vec<f32>>) -> Option<[Vec<f32>; 2]> {
        let _ = of;
        None
    }

    /// Whether a training step draws random numbers.
    fn draws(&self) -> bool {
        false
    }

    /// Whether it only leaves a state for a loss to read.
    fn is_for_a_loss(&self) -> bool {
        false
    }

    /// Whether its input may also be boolean, as spikes from outside are; any other layer receives f32.
    fn takes_booleans(&self) -> bool {
        false
    }

    /// The shape of one sample's output, given those of its inputs. A layer has one input unless it overrides this method.
    ///
    /// # Errors
    /// The inputs that are required instead: `takes one input`.
    fn output_of(&self, inputs: &[Vec<usize>]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] => self.output(input),
            _ => Err("takes one input".to_owned()),
        }
    }

    /// Whether it needs all time steps at once; if so, [`sequence`](Layer::sequence) is called instead of
    /// [`step`](Layer::step).
    fn spans_time(&self) -> bool {
        false
    }

    /// One time step: reads parameters and state, sets the next state, returns the output. Axis 0 of `x` is the batch.
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor;

    /// One time step of a layer with any number of inputs.
    fn step_of(&self, at: &mut Step<'_>, inputs: &[Tensor]) -> Tensor {
        self.step(at, &inputs[0])
    }

    /// All time steps: x [T, B, …] to [T, B, …], where T may change. States are those before the first step, and are set to
    /// those after the last one.
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let _ = at;
        x.clone()
    }
}

/// The operand of the weights of a layer's synapses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synapses {
    /// Its input. The layer is linear in it; its parameters are `kernel` and, optionally, `bias`.
    OfInput,
    /// Its input at each of several lags, concatenated along the last axis. The layer notes it itself, and
    /// [`step`](Layer::step) takes it.
    OfPastInputs,
    /// The spikes that it fires, all of them multiplied with the parameter of this name, [hidden_shape…, hidden_shape…].
    OfOwnSpikes(&'static str),
}

/// The output shape of a layer that requires and keeps this shape.
pub(super) fn keeps(wanted: &[usize], input: &[usize]) -> Result<Vec<usize>, String> {
    let fits = input.len() == wanted.len() && input.iter().zip(wanted).all(|(i, w)| *i == 0 || i == w);
    if fits { Ok(wanted.to_vec()) } else { Err(format!("takes {wanted:?}")) }
}

/// The leading axes of an input whose last axis has this many features.
pub(super) fn before_features(features: usize, input: &[usize]) -> Result<&[usize], String> {
    match input.split_last() {
        Some((&last, before)) if last == features || last == 0 => Ok(before),
        _ => Err(format!("takes {features} features")),
    }
}

/// Checks that a sample is a vector of this many features, without other axes.
pub(super) fn features_alone(features: usize, input: &[usize]) -> Result<(), String> {
    match before_features(features, input)? {
        [] => Ok(()),
        _ => Err(format!("takes [{features}]; flatten other axes")),
    }
}
