//! The network to measure and the sizes of its input.

use std::fmt;

use super::shape::Shape;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// A network and the sizes of its input.
///
/// ```
/// use spiq::bench::{Shape, Workload};
/// use spiq::config::ModelConfig;
/// let text = "[[layers]]\ntype = \"Linear\"\nin_features = 4\nout_features = 2\n[[layers]]\ntype = \"LI\"\nlayer_shape = 2";
/// let workload = Workload::new(ModelConfig::parse(text, "model.toml")?, 16, 8)?;
/// assert_eq!(workload.input(), [16, 8, 4]);
/// assert_eq!(Workload::from("16,8,32,64,10".parse::<Shape>()?).to_string(), "16,8,32,64,10");
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Workload {
    pub(super) model: ModelConfig,
    time: usize,
    batch: usize,
    shape: Option<Shape>,
}

impl Workload {
    /// This model, with T = `time` steps and B = `batch` samples.
    ///
    /// # Errors
    /// Of kind `Input` if training the model takes more than parameters: running statistics, or random numbers.
    pub fn new(model: ModelConfig, time: usize, batch: usize) -> Result<Workload> {
        let place = model.layers.iter().position(|layer| layer.draws() || !layer.statistics().is_empty());
        if let Some(place) = place {
            return Err(Error::input(format!(
                "{}/layers/{place} ({}) draws random numbers or keeps running statistics, which a measurement does not supply; leave it out",
                model.name,
                model.layers[place].kind()
            )));
        }
        Ok(Workload { model, time, batch, shape: None })
    }

    /// The sizes of the input, [T, B, …].
    pub fn input(&self) -> Vec<usize> {
        [vec![self.time, self.batch], self.model.input_shape()].concat()
    }

    /// Refuses unreasonably large sizes.
    ///
    /// # Errors
    /// Of kind `Input` for an array with more elements than fit a 32-bit index.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(shape) = &self.shape {
            return shape.check();
        }
        let input = self.input();
        let count = input.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        match count.is_some_and(|count| (1..=i32::MAX as usize).contains(&count)) {
            true => Ok(()),
            false => Err(Error::input(format!("input {input:?}: too many elements for one array"))),
        }
    }

    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// Where `spiq bench` takes the batch size from.
    pub(super) fn batch_flag(&self) -> &'static str {
        if self.shape.is_some() { "the second number of --shape" } else { "--batch-size" }
    }

    /// Multiply-accumulates of a forward pass and of a training step; `None` for a model other than that of a [`Shape`].
    pub fn products(&self) -> Option<[u64; 2]> {
        self.shape.map(|shape| [shape.forward_products(), shape.step_products()])
    }
}

impl From<Shape> for Workload {
    fn from(shape: Shape) -> Workload {
        Workload { model: shape.model(), time: shape.time, batch: shape.batch, shape: Some(shape) }
    }
}

impl fmt::Display for Workload {
    /// The shape's five numbers, or the sizes of the input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            Some(shape) => shape.fmt(f),
            None => write!(f, "{:?}", self.input()),
        }
    }
}
