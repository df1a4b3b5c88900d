//! Scales updates down when the loss stops improving.

use std::collections::BTreeMap;

use spiq_hlo::{Array, DType, Tensor, TensorType, Violation};

use super::describe::described;
use super::transformation::GradientTransformation;
use super::tree::{COUNT, count_type, increment, map};
use crate::by_path::{Tensors, Types};

/// Scales updates by a factor that shrinks when the loss, averaged over `accumulation_size` steps, has not improved on its best `patience`
/// times in a row. State: `scale`, `best_value`, `plateau_count`, `cooldown_count`, `count`, `avg_value`.
///
/// It reads the loss, so it must be updated with [`update_with_value`](GradientTransformation::update_with_value). Source:
/// `optax.contrib.reduce_on_plateau`.
///
/// ```
/// use spiq::optim::{ReduceOnPlateau, adam, chain, reduce_on_plateau};
/// let plateau = ReduceOnPlateau { factor: 0.5, accumulation_size: 44, ..reduce_on_plateau() };
/// let optimizer = chain([adam(1e-3).into(), plateau.into()]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    /// Multiplies the scale on a reduction.
    pub factor: f64,
    /// Number of means in a row without improvement before a reduction.
    pub patience: u32,
    /// Relative improvement over the best that counts.
    pub rtol: f64,
    /// Absolute improvement that counts, in addition.
    pub atol: f64,
    /// Number of means after a reduction that are ignored.
    pub cooldown: u32,
    /// Number of steps averaged into a mean.
    pub accumulation_size: u32,
    /// The smallest scale.
    pub min_scale: f64,
}

/// A [`ReduceOnPlateau`] with optax's defaults.
pub fn reduce_on_plateau() -> ReduceOnPlateau {
    let (factor, patience, rtol, atol, cooldown) = (0.1, 10, 1e-4, 0.0, 0);
    ReduceOnPlateau { factor, patience, rtol, atol, cooldown, accumulation_size: 1, min_scale: 0.0 }
}

const SCALE: &str = "scale";
const BEST: &str = "best_value";
const PLATEAU: &str = "plateau_count";
const COOLDOWN: &str = "cooldown_count";
const MEAN: &str = "avg_value";

impl GradientTransformation for ReduceOnPlateau {
    fn state_types(&self, _: &Types) -> Types {
        let scalar = |name: &str, dtype| (name.to_owned(), TensorType::scalar(dtype));
        let floats = [SCALE, BEST, MEAN].map(|name| scalar(name, DType::F32));
        floats
            .into_iter()
            .chain([PLATEAU, COOLDOWN].map(|name| scalar(name, DType::S32)))
            .chain([count_type()])
            .collect()
    }
    fn init(&self, params: &BTreeMap<String, TensorType>) -> BTreeMap<String, Array> {
        let zeros = self.state_types(params).into_iter().map(|(name, ty)| (name, Array::zeros(ty)));
        let own = [(SCALE, 1.0), (BEST, f32::INFINITY)].map(|(name, value)| (name.to_owned(), Array::scalar(value)));
        zeros.chain(own).collect()
    }
    fn update(&self, grads: &Tensors, _: &Tensors, _: &Tensors) -> (Tensors, Tensors) {
        let message = "reads the loss: call update_with_value on it and on every transformation that contains it";
        let fail = |g: &Tensor| g.graph().fail("reduce_on_plateau", Violation::new("", message));
        (map(grads, fail), Tensors::new())
    }
    fn update_with_value(&self, grads: &Tensors, state: &Tensors, _: &Tensors, value: &Tensor) -> (Tensors, Tensors) {
        let of = |name: &str| match state.get(name) {
            Some(tensor) => tensor.clone(),
            None => {
                value.graph().fail("reduce_on_plateau", Violation::new("", format!("{name} is missing from the state")))
            }
        };
        let [scale, best, plateau, cooldown, count, mean] = [SCALE, BEST, PLATEAU, COOLDOWN, COUNT, MEAN].map(of);
        let next = increment(&count);
        let so_far = count.convert(DType::F32);
        let mean = (&so_far * mean + value.convert(DType::F32)) / next.convert(DType::F32);
        let whole = next.eq(f64::from(self.accumulation_size));
        // The next state, for a step that completes a mean.
        let better = mean.lt((1.0 - self.rtol) * &best - self.atol);
        let longer = better.select(&plateau.zeros_like(), &increment(&plateau));
        let waits = cooldown.gt(0.0);
        let reduces = longer.eq(f64::from(self.patience));
        let reduced = (&scale * self.factor).maximum(self.min_scale);
        let kept = scale.maximum(self.min_scale);
        let scale_then = waits.select(&scale, &reduces.select(&reduced, &kept));
        let zero = plateau.zeros_like();
        let plateau_then = waits.select(&zero, &reduces.select(&zero, &longer));
        let rest = zero.full_like(f64::from(self.cooldown));
        let cooldown_then = waits.select(&(&cooldown - 1.0), &reduces.select(&rest, &zero));
        let scale = whole.select(&scale_then, &scale);
        let next = [
            (BEST, whole.select(&better.select(&mean, &best), &best)),
            (PLATEAU, whole.select(&plateau_then, &plateau)),
            (COOLDOWN, whole.select(&cooldown_then, &cooldown)),
            (COUNT, whole.select(&zero, &next)),
            (MEAN, whole.select(&mean.zeros_like(), &mean)),
            (SCALE, scale.clone()),
        ];
        let updates = map(grads, |g| scale.convert(g.dtype()) * g);
        (updates, next.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect())
    }
    fn describe(&self) -> String {
        let ReduceOnPlateau { factor, .. } = self;
        let default = ReduceOnPlateau { factor: *factor, ..reduce_on_plateau() };
        described!(
            self,
            ReduceOnPlateau = "reduce_on_plateau"(factor; patience, rtol, atol, cooldown, accumulation_size, min_scale),
            default
        )
    }
}
