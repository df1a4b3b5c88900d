//! Layers that join the branches of a model.

use spiq_hlo::{Tensor, concatenate};

use super::arguments::{described, layer};
use super::layer::Layer;
use super::step::Step;
use super::wiring::shown;

layer! {
    /// The sum of its inputs, as at the end of a residual block.
    ///
    /// Shapes: inputs [B, …], all of the same shape, to that shape. In a file its `inputs` name the summands; in code,
    /// [`Sequential::wired`](super::Sequential::wired) does.
    ///
    /// ```
    /// use spiq::nn::{Add, Layer};
    /// assert_eq!(Add::new().output_of(&[vec![8], vec![8]]), Ok(vec![8]));
    /// ```
    pub struct Add = "Add" {}
}

layer! {
    /// Concatenates its inputs along the last axis.
    ///
    /// Shapes: inputs [B, …, C₁], [B, …, C₂], …, to [B, …, C₁ + C₂ + …].
    ///
    /// ```
    /// use spiq::nn::{Concatenate, Layer};
    /// assert_eq!(Concatenate::new().output_of(&[vec![8], vec![4]]), Ok(vec![12]));
    /// ```
    pub struct Concatenate = "Concatenate" {}
}

impl Add {
    /// A sum.
    pub fn new() -> Add {
        Add::with_defaults()
    }
}

impl Default for Add {
    fn default() -> Add {
        Add::new()
    }
}

impl Concatenate {
    /// A concatenation.
    pub fn new() -> Concatenate {
        Concatenate::with_defaults()
    }
}

impl Default for Concatenate {
    fn default() -> Concatenate {
        Concatenate::new()
    }
}

/// Unifies two sizes that must be equal; 0 is a size that is not known yet.
fn joined(one: usize, other: usize) -> Option<usize> {
    match (one, other) {
        (0, size) | (size, 0) => Some(size),
        _ => (one == other).then_some(one),
    }
}

/// Unifies two shapes that must be equal.
fn same(one: &[usize], other: &[usize]) -> Option<Vec<usize>> {
    if one.len() != other.len() {
        return None;
    }
    one.iter().zip(other).map(|(one, other)| joined(*one, *other)).collect()
}

impl Layer for Add {
    described!();
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(input.to_vec())
    }
    fn output_of(&self, inputs: &[Vec<usize>]) -> Result<Vec<usize>, String> {
        let (first, rest) = inputs.split_first().ok_or("takes at least one input")?;
        let sum = rest.iter().try_fold(first.clone(), |shape, input| same(&shape, input));
        sum.ok_or_else(|| format!("takes inputs of one shape, such as {}", shown(first)))
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        x.clone()
    }
    fn step_of(&self, _: &mut Step<'_>, inputs: &[Tensor]) -> Tensor {
        inputs.iter().cloned().reduce(|sum, x| sum + x).expect("at least one input")
    }
}

impl Layer for Concatenate {
    described!();
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        Ok(input.to_vec())
    }
    fn output_of(&self, inputs: &[Vec<usize>]) -> Result<Vec<usize>, String> {
        let (first, rest) = inputs.split_first().ok_or("takes at least one input")?;
        let all = rest.iter().try_fold(first.clone(), |shape, input| {
            let ((last, before), (more, others)) = (shape.split_last()?, input.split_last()?);
            // If either size is unknown, so is their sum.
            let sum = if *last == 0 || *more == 0 { 0 } else { last + more };
            Some([same(before, others)?, vec![sum]].concat())
        });
        all.ok_or_else(|| format!("takes inputs that differ only in their last axis, such as {}", shown(first)))
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        x.clone()
    }
    fn step_of(&self, _: &mut Step<'_>, inputs: &[Tensor]) -> Tensor {
        concatenate(&inputs.iter().collect::<Vec<_>>(), -1)
    }
}
