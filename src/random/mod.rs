//! Random numbers identical to JAX's: threefry2x32 keys, samples, initializers, streams.
//!
//! Invariant: does not depend on layers or devices.
//!
//! Everything is a function of a [`Key`], with the bits of JAX 0.10.2 (`jax_threefry_partitionable`, its default, and
//! without `jax_enable_x64`). In that scheme the sample at row-major position i depends only on the key and i, so
//! samples are drawn flat on the host, `n` at a time, and reshaped afterwards. [`GraphKey`] draws the same numbers
//! inside a traced program.
//!
//! ```
//! use spiq::random::Key;
//! let (left, right) = Key::new(0).pair();
//! assert_eq!(left.uniform(3, 0.0, 1.0), [0.8423141, 0.18237865, 0.2271781]);
//! assert_ne!(left.bits32(1), right.bits32(1));
//! ```

mod choice;
mod graph;
mod graph_choice;
mod graph_sample;
mod init;
mod integer;
mod key;
mod rngs;
mod sample;
mod shaped;
pub mod special;

pub use graph::GraphKey;
pub use init::{embedding_normal, he_uniform, lecun_normal, ones, orthogonal, spyx_beta, truncated_normal, zeros};
pub use integer::RandomInteger;
pub use key::Key;
pub use rngs::Rngs;
pub use shaped::Shaped;
