//! Dropout.

use spiq_hlo::Tensor;

use super::arguments::{described, layer};
use super::layer::Layer;
use super::step::Step;

layer! {
    /// Sets elements to zero at random and divides the others by the probability of being kept; only in training.
    ///
    /// Each time step draws a new mask from its own key ([`Step::key`]), unless `same_for_all_steps` is set. Shapes: x [B, …]
    /// to the same. Source: `flax.nnx.Dropout`, with the same mask for the same key. (flax's layer takes a key of the
    /// parameters' stream when it is constructed with `rngs`; this one takes none, so initial values match those of a model
    /// whose dropout is constructed without.)
    ///
    /// ```
    /// use spiq::nn::{Dropout, Layer};
    /// assert!(Dropout::new(0.5).draws() && Dropout::new(1.5).check().is_err());
    /// ```
    pub struct Dropout = "Dropout" {
        needs {
            /// Probability of a zero, from 0 to 1.
            rate: f64,
        }
        takes {
            /// Axes along which all elements are kept or dropped together; the batch is axis 0, and negative numbers count from
            /// the end.
            broadcast_dims: Vec<i64> = Vec::new(),
            /// Whether all time steps of a sample drop the same elements, as in SpikingJelly's layer.
            same_for_all_steps: bool = false,
        }
    }
}

impl Dropout {
    /// Dropout with this probability of a zero.
    pub fn new(rate: f64) -> Dropout {
        Dropout::with_defaults(rate)
    }
}

/// Axes of a tensor by flax's numbers, from the end if negative; `None` if one is out of range.
pub(super) fn axes_of(list: &[i64], rank: usize) -> Option<Vec<usize>> {
    let rank = rank as i64;
    let axis = |&axis: &i64| Some(if axis < 0 { axis + rank } else { axis }).filter(|axis| (0..rank).contains(axis));
    list.iter().map(|number| axis(number).map(|axis| axis as usize)).collect()
}

impl Layer for Dropout {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        match (0.0..=1.0).contains(&self.rate) {
            true => Ok(()),
            false => Err(("rate", format!("is {}, but must be from 0 to 1", self.rate))),
        }
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match axes_of(&self.broadcast_dims, input.len() + 1) {
            Some(_) => Ok(input.to_vec()),
            None => Err(format!("takes samples that have the axes {:?}", self.broadcast_dims)),
        }
    }
    fn draws(&self) -> bool {
        self.rate > 0.0
    }
    fn spans_time(&self) -> bool {
        self.same_for_all_steps
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        self.step(at, x)
    }
    fn step(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let rank = x.rank() - usize::from(self.same_for_all_steps && !x.is_poison());
        let (Some(axes), true) = (axes_of(&self.broadcast_dims, rank), self.draws()) else { return x.clone() };
        let Some(key) = at.key() else { return x.clone() };
        if self.rate == 1.0 {
            return x.zeros_like();
        }
        // The time axis precedes those of a step.
        let first = usize::from(self.same_for_all_steps);
        let mut dims = x.dims().to_vec();
        axes.into_iter().map(|axis| axis + first).chain(0..first).for_each(|axis| dims[axis] = 1);
        let stays = 1.0 - self.rate;
        key.bernoulli(&dims, stays).broadcast_to(x.dims()).select(&(x / stays), &x.zeros_like())
    }
}
