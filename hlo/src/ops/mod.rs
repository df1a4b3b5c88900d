//! The operations, one file per family of the StableHLO specification. Each file may call another's methods on tensors,
//! never its structs.

pub(crate) mod collective;
pub(crate) mod constant;
pub(crate) mod control;
pub(crate) mod convert;
pub(crate) mod convolution;
pub(crate) mod custom_call;
pub(crate) mod dot_general;
pub(crate) mod einsum;
pub(crate) mod elementwise;
pub(crate) mod gather;
pub(crate) mod gradient;
pub mod promotion;
pub(crate) mod reduce;
pub(crate) mod reduce_window;
mod reducer;
pub(crate) mod sample;
pub(crate) mod select;
pub(crate) mod shape;
pub(crate) mod slice;
pub(crate) mod sort;
pub(crate) mod window;
mod window_max;
