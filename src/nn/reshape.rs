//! Reshaping of a sample.

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::layer::Layer;
use super::step::Step;

layer! {
    /// Gives each sample another shape, keeping the order of its elements. `shape = [-1, 1]` turns channels into a sequence of
    /// one feature, over which a convolution can move: [B, C] to [B, C, 1].
    ///
    /// Shapes: x [B, …] to [B, shape…]. Errors, when applied: samples with a different number of elements. Source: NumPy's
    /// `reshape`; flax has no such layer.
    ///
    /// ```
    /// use spiq::nn::{Layer, Reshape};
    /// assert_eq!(Reshape::new([-1, 1]).output(&[140]), Ok(vec![140, 1]));
    /// assert_eq!(Reshape::new([28, 28, 1]).output(&[784]), Ok(vec![28, 28, 1]));
    /// ```
    #[derive(Eq)]
    pub struct Reshape = "Reshape" {
        needs {
            /// Sizes of a sample's axes, without the batch; at most one is -1, and is inferred from the others.
            shape: Vec<i64>,
        }
    }
}

impl Reshape {
    /// Reshapes samples to this shape.
    pub fn new(shape: impl Into<Vec<i64>>) -> Reshape {
        Reshape::with_defaults(shape.into())
    }

    /// The shape, with this size instead of -1.
    fn with(&self, open: usize) -> Vec<usize> {
        self.shape.iter().map(|&size| if size == -1 { open } else { size as usize }).collect()
    }

    /// The product of the given sizes.
    fn known(&self) -> Option<usize> {
        self.with(1).into_iter().try_fold(1usize, usize::checked_mul)
    }
}

impl Layer for Reshape {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        let open = self.shape.iter().filter(|size| **size == -1).count();
        let usable = self.shape.iter().all(|size| *size == -1 || *size > 0) && open <= 1 && !self.shape.is_empty();
        match usable && self.known().is_some() {
            true => Ok(()),
            false => {
                Err(("shape", format!("is {:?}, but must be sizes from 1 up, at most one of them -1", self.shape)))
            }
        }
    }
    fn takes(&self) -> Vec<usize> {
        vec![0]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let known = self.known().unwrap_or(usize::MAX);
        let count = input.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        match (count, self.shape.contains(&-1)) {
            (Some(count), true) if count.is_multiple_of(known) => Ok(self.with(count / known)),
            (Some(count), false) if count == known || count == 0 => Ok(self.with(known)),
            (_, true) => Err(format!("takes a multiple of {known} elements")),
            (_, false) => Err(format!("takes {known} elements")),
        }
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        match x.dims().split_first() {
            Some((&batch, sample)) => match self.output(sample) {
                Ok(shape) => x.reshape(&[&[batch], &shape[..]].concat()),
                Err(_) => x.clone(),
            },
            None => x.clone(),
        }
    }
}
