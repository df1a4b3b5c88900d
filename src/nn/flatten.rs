//! Flattening of a sample's axes, and classes read from groups of units.

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::layer::Layer;
use super::step::Step;

layer! {
    /// Flattens all axes of a sample into one.
    ///
    /// Shapes: x [B, …] to [B, product of the other sizes]. Source: `spyx.nn.Flatten`.
    ///
    /// ```
    /// use spiq::nn::{Flatten, Layer};
    /// assert_eq!(Flatten::new().output(&[7, 7, 16]), Ok(vec![784]));
    /// ```
    #[derive(Copy, Default, Eq)]
    pub struct Flatten = "Flatten" {}
}

layer! {
    /// Population coding: sums an equal number of neighbouring units for each class.
    ///
    /// Shapes: x [B, N], N a multiple of num_classes, to [B, num_classes]; the units of class c start at c N / num_classes.
    /// Source: `spyx.nn.PopulationCode`, whose argument is actually the number of units per class, and which mixes the samples
    /// of a batch: for a single sample, its `PopulationCode(N / num_classes)` returns what this one does.
    ///
    /// ```
    /// use spiq::nn::{Layer, PopulationCode};
    /// assert_eq!(PopulationCode::new(10).output(&[500]), Ok(vec![10]));
    /// ```
    #[derive(Copy, Eq)]
    pub struct PopulationCode = "PopulationCode" {
        needs {
            /// Number of classes.
            num_classes: usize,
        }
    }
}

impl Flatten {
    /// A flattening layer; it has no arguments.
    pub fn new() -> Flatten {
        Flatten::with_defaults()
    }
}

impl PopulationCode {
    /// A code for this many classes.
    pub fn new(num_classes: usize) -> PopulationCode {
        PopulationCode::with_defaults(num_classes)
    }
}

impl Layer for Flatten {
    described!();
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let count = input.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        count.map(|count| vec![count]).ok_or_else(|| "takes a smaller sample".to_owned())
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        match x.dims().split_first() {
            Some((&batch, rest)) => x.reshape(&[batch, rest.iter().product()]),
            None => x.clone(),
        }
    }
}

impl Layer for PopulationCode {
    described!();
    fn takes(&self) -> Vec<usize> {
        vec![0]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match input {
            // 0, an unknown size, is a multiple of everything.
            [units] if self.num_classes > 0 && units.is_multiple_of(self.num_classes) => Ok(vec![self.num_classes]),
            _ => Err(format!("takes a multiple of {} units", self.num_classes)),
        }
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        match *x.dims() {
            [batch, units] => x.reshape(&[batch, self.num_classes, units / self.num_classes]).reduce_sum([2]),
            _ => x.clone(),
        }
    }
}
