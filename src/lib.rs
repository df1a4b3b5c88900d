//! Quantization-aware training of spiking neural networks, compiled by XLA through PJRT.

pub mod data;
mod error;
pub mod pjrt;
pub mod random;

pub use error::{Error, ErrorKind, Result};
pub use spiq_hlo::{Array, ArrayError, DType, Element, TensorType};
