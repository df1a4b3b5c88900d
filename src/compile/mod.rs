//! The one way of a program to a device: its [stages](Stage), what it is [compiled for](Destination), and how
//! ([`Program`]); functions of tensors that are compiled when they are called ([`jit`](jit())); where a function's first NaN comes from ([`first_nan`]).
//!
//! Invariant: every text that a plugin compiles is made here.

mod debug_nans;
mod destination;
mod jit;
mod pipeline;
mod program;
mod stage;

pub use debug_nans::{FirstNan, Wanted, first_nan};
pub use destination::Destination;
pub use jit::{Jit, jit, trace};
pub use pipeline::{Pipeline, Source};
pub use program::Program;
pub use stage::{STAGES, Stage};
