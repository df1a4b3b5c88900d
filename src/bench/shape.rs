//! The sizes of the measured network, and its number of products.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::nn::{Layer, Li, Lif, Linear, Surrogate};

/// Sizes of the network Linear(inputs, hidden) LIF Linear(hidden, hidden) LIF Linear(hidden, classes) LI, without bias.
///
/// ```
/// let shape: spiq::bench::Shape = "16,8,32,64,10".parse()?;
/// assert_eq!(shape.model().outputs(), 10);
/// assert_eq!(shape.forward_products(), 16 * 8 * (32 * 64 + 64 * 64 + 64 * 10));
/// # Ok::<(), spiq::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Time steps T.
    pub time: usize,
    /// Samples in the batch B.
    pub batch: usize,
    /// Input features IN.
    pub inputs: usize,
    /// Neurons H in each of the two hidden layers.
    pub hidden: usize,
    /// Outputs C.
    pub classes: usize,
}

impl Shape {
    /// The network as in a model file, under the name `core`.
    pub fn model(&self) -> ModelConfig {
        let linear = |inputs, outputs| -> Arc<dyn Layer> { Arc::new(Linear::new(inputs, outputs).without_bias()) };
        let lif =
            || -> Arc<dyn Layer> { Arc::new(Lif { activation: Surrogate::triangular(), ..Lif::new([self.hidden]) }) };
        let layers = vec![
            linear(self.inputs, self.hidden),
            lif(),
            linear(self.hidden, self.hidden),
            lif(),
            linear(self.hidden, self.classes),
            Arc::new(Li::new([self.classes])),
        ];
        ModelConfig::chain("core", layers)
    }

    /// Refuses empty and unreasonably large sizes.
    ///
    /// # Errors
    /// Of kind `Input` for an array without elements, or with more than fit a 32-bit index.
    pub(super) fn check(&self) -> Result<()> {
        let widest = self.inputs.max(self.hidden).max(self.classes);
        for sizes in [[self.time, self.batch, widest], [1, self.inputs.max(self.hidden), self.hidden.max(self.classes)]]
        {
            let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
            if !count.is_some_and(|count| (1..=i32::MAX as usize).contains(&count)) {
                return Err(Error::input(format!("shape {self}: {sizes:?} are too many elements for one array")));
            }
        }
        Ok(())
    }

    /// Multiply-accumulates of one forward pass's dot products, ignoring the sparsity of spikes.
    pub fn forward_products(&self) -> u64 {
        let weights = self.inputs * self.hidden + self.hidden * self.hidden + self.hidden * self.classes;
        (self.time * self.batch) as u64 * weights as u64
    }

    /// Multiply-accumulates of one training step: forward, the gradients of all weights, and the input gradients of all layers but the
    /// first.
    pub fn step_products(&self) -> u64 {
        let first = (self.time * self.batch) as u64 * (self.inputs * self.hidden) as u64;
        3 * self.forward_products() - first
    }
}

impl FromStr for Shape {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shape> {
        /// A larger size is a mistake, and products would overflow.
        const LARGEST: usize = 1 << 20;
        let number = |part: &str| part.trim().parse().ok().filter(|size| (1..=LARGEST).contains(size));
        let sizes: Option<Vec<usize>> = text.split(',').map(number).collect();
        match sizes.as_deref() {
            Some(&[time, batch, inputs, hidden, classes]) => Ok(Shape { time, batch, inputs, hidden, classes }),
            _ => Err(Error::input(format!(
                "`{text}` is not a shape: it must be five numbers from 1 to {LARGEST}, T,B,IN,H,C, as in 16,8,32,64,10"
            ))),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{},{}", self.time, self.batch, self.inputs, self.hidden, self.classes)
    }
}
