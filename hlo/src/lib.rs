//! A traced graph of StableHLO operations. Knows nothing of PJRT, files, threads, spikes or quantization.
#![forbid(unsafe_code)]

mod array;
mod dtype;
mod minifloat;
mod types;

pub use array::{Array, ArrayError, Element};
pub use dtype::{DType, Kind};
pub use types::TensorType;
