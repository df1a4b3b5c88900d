//! Functions of `jax.numpy`, `jax.nn` and `jax.lax` that are made of operations, with JAX's values.

pub(crate) mod activations;
pub(crate) mod arrange;
pub(crate) mod cumulative;
pub(crate) mod erf;
pub(crate) mod indexing;
pub(crate) mod statistics;
