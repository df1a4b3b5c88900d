//! Transforms of whole functions and traces: differentiation, `vmap`, simplification, lowering, sharding, checks, numbering.
//!
//! Invariant: does not depend on any particular operation, except `select` in `cotangent`.

pub(crate) mod autodiff;
pub(crate) mod cotangent;
pub(crate) mod jacobian;
pub(crate) mod lower;
pub(crate) mod numbering;
pub(crate) mod shard;
pub(crate) mod simplify;
pub(crate) mod verify;
pub(crate) mod vmap;
