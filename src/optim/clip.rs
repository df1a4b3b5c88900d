//! Gradients cut to a largest norm, or each number to a largest size. Knows nothing of optimizers.

use super::transformation::GradientTransformation;
use super::tree::{global_norm, map};
use crate::by_path::{Tensors, Types};
use crate::choice::{Arguments, Choice, POSITIVE};
use crate::error::Result;

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

/// Cuts each number of the gradients to the range from `-max_delta` to `max_delta`. No state. Source: `optax.clip`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The largest size that is left as it is.
    pub max_delta: f64,
}

/// A [`Clip`].
pub fn clip(max_delta: f64) -> Clip {
    Clip { max_delta }
}

impl GradientTransformation for Clip {
    fn state_types(&self, _: &Types) -> Types {
        Types::new()
    }
    fn update(&self, grads: &Tensors, _: &Tensors, _: &Tensors) -> (Tensors, Tensors) {
        (map(grads, |g| g.maximum(-self.max_delta).minimum(self.max_delta)), Tensors::new())
    }
    fn describe(&self) -> String {
        format!("clip({})", self.max_delta)
    }
}

/// A way to cut gradients, of its arguments.
pub type MakeClip = fn(&mut Arguments) -> Result<ClipOf>;

/// A way to cut gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClipOf {
    /// All together.
    Norm(ClipByGlobalNorm),
    /// Each number by itself.
    Value(Clip),
}

impl From<ClipOf> for Box<dyn GradientTransformation> {
    fn from(clip: ClipOf) -> Box<dyn GradientTransformation> {
        match clip {
            ClipOf::Norm(clip) => clip.into(),
            ClipOf::Value(clip) => clip.into(),
        }
    }
}

/// The ways to cut gradients, by name.
pub const CLIPS: &[Choice<MakeClip>] = &[
    Choice {
        name: "clip_by_global_norm",
        about: "all together, to a largest norm (max_norm); a number alone means this",
        make: |a| Ok(ClipOf::Norm(clip_by_global_norm(a.required("max_norm", POSITIVE)?))),
    },
    Choice {
        name: "clip",
        about: "each number by itself (max_delta)",
        make: |a| Ok(ClipOf::Value(clip(a.required("max_delta", POSITIVE)?))),
    },
];
