//! Past inputs as features.

use spiq_hlo::{Tensor, concatenate};

use super::shift::{PAST, behind_its_past};
use crate::nn::arguments::{described, layer};
use crate::nn::layer::{Layer, features_alone};
use crate::nn::parameter::State;
use crate::nn::step::Step;

layer! {
    /// Each element with its values in the previous steps, along a new last axis: a [`Conv`](crate::nn::Conv) over channels
    /// after it sees several steps at once.
    ///
    /// Shapes: x [T, B, features] to [T, B, features, steps], the present first; state `past` [B, steps - 1, features].
    ///
    /// ```
    /// use spiq::nn::{Lags, Layer};
    /// assert_eq!(Lags::new(47, 3).output(&[47]), Ok(vec![47, 3]));
    /// ```
    pub struct Lags = "Lags" {
        needs {
            /// Size of the input's last axis.
            features: usize,
            /// Number of steps side by side, including the present one.
            steps: usize,
        }
    }
}

impl Lags {
    /// The present step and those before it, `steps` in total.
    pub fn new(features: usize, steps: usize) -> Lags {
        Lags::with_defaults(features, steps)
    }
}

impl Layer for Lags {
    described!();
    fn check(&self) -> Result<(), (&'static str, String)> {
        const MOST: usize = 1 << 16;
        match (1..=MOST).contains(&self.steps) {
            true => Ok(()),
            false => Err(("steps", format!("is {}, but must be from 1 to {MOST}", self.steps))),
        }
    }
    fn states(&self) -> Vec<State> {
        vec![State::new(PAST, [self.steps - 1, self.features])]
    }
    fn takes(&self) -> Vec<usize> {
        vec![self.features]
    }
    fn output(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        features_alone(self.features, input).map(|()| vec![self.features, self.steps])
    }
    fn takes_booleans(&self) -> bool {
        true
    }
    fn spans_time(&self) -> bool {
        true
    }
    fn step(&self, _: &mut Step<'_>, x: &Tensor) -> Tensor {
        x.clone()
    }
    fn sequence(&self, at: &mut Step<'_>, x: &Tensor) -> Tensor {
        let before = self.steps - 1;
        let known = behind_its_past(at, x, before, 0);
        if known.is_poison() {
            return known;
        }
        let length = known.dims()[0] - before;
        let lag = |lag: usize| known.slice_axis(0, before - lag, before - lag + length).expand_dims(-1);
        let lags: Vec<Tensor> = (0..self.steps).map(lag).collect();
        concatenate(&lags.iter().collect::<Vec<_>>(), -1)
    }
}
