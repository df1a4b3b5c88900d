//! Quantization-aware training of spiking neural networks, compiled by XLA through PJRT.

pub mod config;
pub mod data;
mod error;
pub mod quant;
pub mod random;
pub mod train;

pub use error::{Error, ErrorKind, Result};
pub use spiq_hlo::{Array, ArrayError, DType, Element, TensorType};
