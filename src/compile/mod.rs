//! Compiles programs for devices: their [stages](Stage), [targets](Destination) and settings ([`Program`]); functions of tensors that
//! are compiled when they are called ([`jit`](jit())); the origin of a function's first NaN ([`first_nan`]).
//!
//! Invariant: every text that a plugin compiles is created here.

mod debug_nans;
mod destination;
mod for_cuda;
mod jit;
mod pipeline;
mod program;
mod sharding;
mod stage;

pub use debug_nans::{FirstNan, Wanted, first_nan};
pub use destination::Destination;
pub use jit::{Jit, jit, trace, trace_tree};
pub use pipeline::{Pipeline, Source};
pub use program::Program;
pub use sharding::Sharding;
pub use stage::{STAGES, Stage};
