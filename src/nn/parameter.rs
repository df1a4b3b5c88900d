//! Declarations of a layer: parameters with their initial values, and state.

use spiq_hlo::{Array, DType, TensorType};

use crate::random::{
    Rngs, embedding_normal, he_uniform, lecun_normal, ones, orthogonal, spyx_beta, truncated_normal, zeros,
};

/// A parameter of a layer: its name, shape and initial values.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The last part of its path, or for a container the path within it: `kernel`, `layers/0/kernel`.
    pub name: String,
    /// Size of each axis; the elements are f32.
    pub dims: Vec<usize>,
    /// Its initial values.
    pub init: Init,
    /// The smallest and largest value allowed in training; updates are clipped to them.
    pub limits: Option<(f64, f64)>,
}

impl Parameter {
    /// A parameter without limits.
    pub fn new(name: impl Into<String>, dims: impl Into<Vec<usize>>, init: Init) -> Parameter {
        Parameter { name: name.into(), dims: dims.into(), init, limits: None }
    }

    /// The same parameter, which training keeps from `low` to `high`.
    #[must_use]
    pub fn within(self, low: f64, high: f64) -> Parameter {
        Parameter { limits: Some((low, high)), ..self }
    }

    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        TensorType::new(DType::F32, self.dims.as_slice())
    }
}

/// Initial values of a parameter.
///
/// flax's initializers take a key even if they do not use it; constants take none. This determines the keys of all later
/// parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// [`lecun_normal`], flax's default for kernels. Takes a key.
    LecunNormal,
    /// [`embedding_normal`], flax's default for embeddings. Takes a key.
    EmbeddingNormal,
    /// [`spyx_beta`], Spyx's default for decays. Takes a key.
    SpyxBeta,
    /// [`truncated_normal`] with this standard deviation, Spyx's default for recurrent weights. Takes a key.
    TruncatedNormal(f32),
    /// [`orthogonal`], as in flax and PyTorch. Takes a key.
    Orthogonal,
    /// Uniform between two bounds (`jax.random.uniform`). Takes a key.
    Uniform(f64, f64),
    /// [`he_uniform`], PyTorch's `kaiming_uniform_` for ReLU. Takes a key.
    HeUniform,
    /// All zeros, flax's default for biases. Takes a key and ignores it.
    Zeros,
    /// All ones. Takes a key and ignores it.
    Ones,
    /// One number everywhere. Takes no key.
    Constant(f64),
    /// 0, this number, twice this number, … Takes no key.
    Multiples(f64),
}

impl Init {
    /// The initial values in f32, drawn with the next key of the stream `params` if one is taken.
    pub fn draw(self, rngs: &mut Rngs, dims: &[usize]) -> Array {
        match self {
            Init::LecunNormal => lecun_normal(rngs.params(), dims),
            Init::EmbeddingNormal => embedding_normal(rngs.params(), dims),
            Init::SpyxBeta => spyx_beta(rngs.params(), dims),
            Init::TruncatedNormal(deviation) => truncated_normal(rngs.params(), dims, deviation),
            Init::Orthogonal => orthogonal(rngs.params(), dims),
            Init::Uniform(low, high) => {
                let count = dims.iter().product();
                let values = rngs.params().uniform(count, low as f32, high as f32);
                Array::new(dims, values).expect("as many values as elements")
            }
            Init::HeUniform => he_uniform(rngs.params(), dims),
            Init::Multiples(of) => {
                let values: Vec<f32> = (0..dims.iter().product()).map(|i| (of * i as f64) as f32).collect();
                Array::new(dims, values).expect("as many values as elements")
            }
            Init::Zeros => {
                rngs.params();
                zeros(dims)
            }
            Init::Ones => {
                rngs.params();
                ones(dims)
            }
            Init::Constant(value) => {
                let values = vec![value as f32; dims.iter().product()];
                Array::new(dims, values).expect("as many values as elements")
            }
        }
    }
}

/// State that a layer carries from step to step: a name and the shape for one sample. It starts as zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The last part of its path, or for a container the path within it: `potential`, `layers/1/potential`.
    pub name: String,
    /// Size of each axis after the batch.
    pub dims: Vec<usize>,
}

impl State {
    /// A state of this name and shape.
    pub fn new(name: impl Into<String>, dims: impl Into<Vec<usize>>) -> State {
        State { name: name.into(), dims: dims.into() }
    }

    /// The type for a batch of this size.
    pub fn ty(&self, batch: usize, dtype: DType) -> TensorType {
        TensorType::new(dtype, [&[batch], self.dims.as_slice()].concat())
    }
}
