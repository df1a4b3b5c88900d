//! Post-training quantization: weights quantized once, stored, and run from what is stored. Knows nothing of training.

mod calibrate;
mod file;
mod pack;
mod program;
mod quantize;

pub use calibrate::calibrate;
pub use file::{is_quantized, read_weights};
pub use program::StoredNetwork;
pub use quantize::{Quantization, WeightReport, quantize_weights};
