//! Quantization-aware training of spiking neural networks, compiled by XLA through PJRT.

mod error;
pub mod pjrt;

pub use error::{Error, ErrorKind, Result};
pub use spiq_hlo::{Array, ArrayError, DType, Element, TensorType};
