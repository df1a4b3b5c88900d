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
//! use std::collections::BTreeMap;
//! use spiq::optim::{Adam, GradientTransformation, adam, apply_updates};
//! use spiq_hlo::{DType, TensorType, grad, trace};
//!
//! let optimizer = Adam { b2: 0.99, ..adam(2e-3) };
//! let w = TensorType::new(DType::F32, [4]);
//! let state = optimizer.init(&BTreeMap::from([("w".to_owned(), w.clone())]));
//! assert_eq!(state.keys().collect::<Vec<_>>(), ["count", "mu/w", "nu/w"]);
//!
//! let step = trace(&[("w", w)], |x| {
//!     let params = BTreeMap::from([("w".to_owned(), x[0].clone())]);
//!     let state = state.iter().map(|(path, array)| (path.clone(), x[0].graph().constant(array))).collect();
//!     let grads = grad(&params, |p| (&p["w"] * &p["w"]).sum());
//!     let (updates, state) = optimizer.update(&grads, &state, &params);
//!     let params = apply_updates(&params, &updates);
//!     params.into_values().chain(state.into_values()).collect()
//! })?;
//! assert_eq!(step.result_types().len(), 4);
//! # Ok::<(), spiq_hlo::GraphErrors>(())
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
