//! Gradients cut to a largest norm. Knows nothing of optimizers.

use super::transformation::GradientTransformation;
use super::tree::{global_norm, map};
use crate::by_path::{Tensors, Types};

/// Scales all gradients down together where their global norm exceeds `max_norm`. No state.
///
/// Source: Pascanu et al. 2012, arXiv:1211.5063; `optax.clip_by_global_norm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipByGlobalNorm {
    /// The largest norm that is left as it is.
    pub max_norm: f64,
}

/// A [`ClipByGlobalNorm`].
pub fn clip_by_global_norm(max_norm: f64) -> ClipByGlobalNorm {
    ClipByGlobalNorm { max_norm }
}

impl GradientTransformation for ClipByGlobalNorm {
    fn state_types(&self, _: &Types) -> Types {
        Types::new()
    }
    fn update(&self, grads: &Tensors, _: &Tensors, _: &Tensors) -> (Tensors, Tensors) {
        let Some(norm) = global_norm(grads) else { return Default::default() };
        let small = norm.lt(self.max_norm);
        let clip = |g: &spiq_hlo::Tensor| {
            let cut = g / norm.convert(g.dtype()) * self.max_norm;
            small.select(g, &cut)
        };
        (map(grads, clip), Tensors::new())
    }
    fn describe(&self) -> String {
        format!("clip_by_global_norm({})", self.max_norm)
    }
}
