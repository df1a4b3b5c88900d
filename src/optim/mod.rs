//! Optimizers and schedules with optax's names, defaults and results.
//!
//! An optimizer is plain data. It turns gradients into updates inside a trace; its state is a map from path (`count`,
//! `mu/core/layers/0/kernel`) to tensor, separate from the parameters.
//!
//! Optimizers can be wrapped with [`chain`], [`clip`] and [`clip_by_global_norm`], [`multi_transform`] (separate optimizers for parameter
//! groups), [`multi_steps`] (gradient accumulation), [`average_params`] (a moving average that is tested and saved), and
//! [`reduce_on_plateau`]. [`Optimizer`] builds them from texts, as the command line does.
//!
//! Invariant: does not depend on models, data or devices.
//!
//! ```
//! use spiq::optim::Adam;
//! use spiq::prelude::*;
//!
//! let optimizer = Adam { b2: 0.99, ..adam(2e-3) };
//! let params = (Array::from([1.0f32, 2.0]), Array::scalar(3.0f32)); // any tree
//! let state = optimizer.init_tree(&params);
//! assert_eq!(state.keys().collect::<Vec<_>>(), ["count", "mu/0", "mu/1", "nu/0", "nu/1"]);
//!
//! let step = jit(&Client::cpu()?, |(params, state): ((Tensor, Tensor), OptState)| {
//!     let grads = grad(&params, |(w, b)| (w * w * b).sum());
//!     let (updates, state) = optimizer.update_tree(&grads, &state, &params);
//!     (apply_updates(&params, &updates), state)
//! });
//! let (_params, state) = step.call(&(params, state))?;
//! assert_eq!(state["count"].item::<i32>()?, 1);
//! # Ok::<(), spiq::Error>(())
//! ```

mod adam;
mod average;
mod chain;
mod clip;
mod descent;
mod describe;
mod groups;
mod lion;
mod multi_steps;
mod multi_transform;
mod optimizer;
mod plateau;
mod schedule;
mod sgd;
mod table;
mod transformation;
mod tree;

pub use crate::by_path::PathPattern;
pub use adam::{Adam, adam, adamw};
pub use average::{AverageParams, Ema, average_params, ema};
pub use chain::{Chain, chain};
pub use clip::{CLIPS, Clip, ClipByGlobalNorm, ClipOf, MakeClip, clip, clip_by_global_norm};
pub use lion::{Lion, lion};
pub use multi_steps::{MultiSteps, multi_steps};
pub use multi_transform::{MultiTransform, multi_transform};
pub use optimizer::{Around, ByName, Optimizer};
pub use plateau::{ReduceOnPlateau, reduce_on_plateau};
pub use schedule::*;
pub use sgd::{Sgd, sgd};
pub use table::{MakeOptimizer, OPTIMIZERS, OfRate};
pub use transformation::{GradientTransformation, OptState, apply_updates};
pub(crate) use transformation::{tensors, with_tensors};
pub use tree::global_norm;
