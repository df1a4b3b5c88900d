//! What a layer is: declared parameters and state, shapes, one step. Knows no particular layer.

use std::fmt;
use std::sync::Arc;

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

    /// The arguments as a file gives them: name and value. A layer that no file names has none.
    fn arguments(&self) -> Vec<(&'static str, toml::Value)> {
        Vec::new()
    }

    /// Whether the arguments are usable, each by itself and together.
    ///
    /// # Errors
    /// An argument's name and what is wrong with it, to follow on its name: `is 1.5, but must be from 0 to 1`.
    fn check(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }

    /// The parameters, in the order in which their initial values draw keys.
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// What is carried from step to step.
    fn states(&self) -> Vec<State> {
        Vec::new()
    }

    /// Running statistics: arrays that a training step moves and every other pass only reads (flax's `BatchStat`). They are read as
    /// parameters are, and no gradient is taken by them.
    fn statistics(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// The last axes of one sample's input, as far as the arguments tell; 0 stands for a size that they leave open.
    fn takes(&self) -> Vec<usize> {
        Vec::new()
    }

    /// The shape of one sample's output, given that of its input at one step (neither time nor batch). A size of 0 is not
    /// known yet: it fits any size that is wanted, and what depends on it is 0 again.
    ///
    /// # Errors
    /// Says what input is wanted instead: `takes 32 features`.
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String>;

    /// Whether the output are spikes, of which a rate says something.
    fn fires(&self) -> bool {
        false
    }

    /// What the layer's weights are multiplied with, where it has synapses: a matrix or a window of them.
    fn synapses(&self) -> Option<Synapses> {
        None
    }

    /// The parameters that it spreads over a larger matrix before it multiplies with them: rules round these, not the matrix.
    fn spread(&self) -> &'static [&'static str] {
        &[]
    }

    /// The same layer with a bias, where it multiplies with a parameter `kernel` whose last axis is that of its output.
    fn with_bias(&self) -> Option<Arc<dyn Layer>> {
        None
    }

    /// A factor and a summand for each feature, `[features]` each, where all that the layer does after training is
    /// `x * factor + summand`. `of` gives its parameters and running statistics by name.
    fn affine(&self, of: &dyn Fn(&str) -> Option<Vec<f32>>) -> Option<[Vec<f32>; 2]> {
        let _ = of;
        None
    }

    /// Whether a step of training draws random numbers.
    fn draws(&self) -> bool {
        false
    }

    /// Whether all it does is to leave a state for a loss to read.
    fn is_for_a_loss(&self) -> bool {
        false
    }

    /// Whether its input may be booleans as well, as spikes are that come from outside; any other layer is given f32.
    fn takes_booleans(&self) -> bool {
        false
    }

    /// The shape of one sample's output, given those of its inputs. A layer has one input, unless this says something else.
    ///
    /// # Errors
    /// Says what is wanted instead: `takes one input`.
    fn output_of(&self, inputs: &[Vec<usize>]) -> Result<Vec<usize>, String> {
        match inputs {
            [input] => self.output(input),
            _ => Err("takes one input".to_owned()),
        }
    }

    /// Whether it needs all time steps at once; then [`sequence`](Layer::sequence) is called, and [`step`](Layer::step) is not.
    fn spans_time(&self) -> bool {
        false
    }

    /// One time step: reads parameters and state, sets the next state, returns the output. Axis 0 of `x` is the batch.
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor;

    /// One time step of a layer with any number of inputs.
    fn step_of(&self, at: &mut Step<'_>, inputs: &[Tensor]) -> Tensor {
        self.step(at, &inputs[0])
    }

    /// All time steps: x [T, B, …] to [T, B, …], where the number of steps may become another one. States are those before
    /// the first step, and are set to those after the last one.
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let _ = at;
        x.clone()
    }
}

/// What the weights of a layer's synapses are multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synapses {
    /// Its input. The layer is linear in it, and its parameters `kernel` and, perhaps, `bias`.
    OfInput,
    /// Its input at each of some lags, side by side along the last axis, which it notes itself: [`step`](Layer::step) takes that.
    OfPastInputs,
    /// The spikes that it fires, all of them with the parameter of this name, [hidden_shape…, hidden_shape…].
    OfOwnSpikes(&'static str),
}

/// The output shape of a layer that keeps the shape it wants.
pub(super) fn keeps(wanted: &[usize], input: &[usize]) -> Result<Vec<usize>, String> {
    let fits = input.len() == wanted.len() && input.iter().zip(wanted).all(|(i, w)| *i == 0 || i == w);
    if fits { Ok(wanted.to_vec()) } else { Err(format!("takes {wanted:?}")) }
}

/// The axes before the last one of an input whose last axis has so many features.
pub(super) fn before_features(features: usize, input: &[usize]) -> Result<&[usize], String> {
    match input.split_last() {
        Some((&last, before)) if last == features || last == 0 => Ok(before),
        _ => Err(format!("takes {features} features")),
    }
}

/// That a sample is a vector of so many features, and has no other axes.
pub(super) fn features_alone(features: usize, input: &[usize]) -> Result<(), String> {
    match before_features(features, input)? {
        [] => Ok(()),
        _ => Err(format!("takes [{features}]; flatten other axes")),
    }
}
