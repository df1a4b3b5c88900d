//! Transforms of whole functions and traces: differentiation, `vmap`, simplification, lowering, checks, numbering.

pub(crate) mod autodiff;
pub(crate) mod cotangent;
pub(crate) mod lower;
pub(crate) mod numbering;
pub(crate) mod simplify;
pub(crate) mod verify;
pub(crate) mod vmap;
