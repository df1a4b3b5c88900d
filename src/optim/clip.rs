//! Gradient clipping, by global norm or by element.

use super::transformation::GradientTransformation;
use super::tree::{global_norm, map};
use crate::by_path::{Tensors, Types};
use crate::choice::{Arguments, Choice, POSITIVE};
use crate::error::Result;

/// Scales all gradients down together if their global norm exceeds `max_norm`. No state.
///
/// Source: Pascanu et al. 2012, arXiv:1211.5063; `optax.clip_by_global_norm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipByGlobalNorm {
    /// The largest global norm that is left unchanged.
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

/// Clamps each element of the gradients to the range from `-max_delta` to `max_delta`. No state. Source: `optax.clip`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The largest magnitude that is left unchanged.
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

/// Makes a clipping method from its arguments.
pub type MakeClip = fn(&mut Arguments) -> Result<ClipOf>;

/// A clipping method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClipOf {
    /// By global norm.
    Norm(ClipByGlobalNorm),
    /// By element.
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

/// The clipping methods by name.
pub const CLIPS: &[Choice<MakeClip>] = &[
    Choice {
        name: "clip_by_global_norm",
        about: "scales all gradients to a maximum global norm (max_norm); a plain number selects this",
        make: |a| Ok(ClipOf::Norm(clip_by_global_norm(a.required("max_norm", POSITIVE)?))),
    },
    Choice {
        name: "clip",
        about: "clamps each element to a maximum magnitude (max_delta)",
        make: |a| Ok(ClipOf::Value(clip(a.required("max_delta", POSITIVE)?))),
    },
];
