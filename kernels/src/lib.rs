//! Elementwise loops over time and masked products as one call each: what such a kernel is ([`contract`]), how a function's are
//! found ([`offload`]), what computes them on a processor ([`run`]) and on a card (text of Triton). A [`Backend`] is what a
//! platform has of this.
//!
//! Invariant: depends on no plugin, no file, no thread and no neuron.
#![forbid(unsafe_code)]

mod backend;
mod backends;
pub mod contract;
mod describe;
mod instructions;
pub mod offload;
pub mod run;

pub use backend::Backend;
pub use backends::{BACKENDS, backend};
pub use contract::call::KernelCall;
pub use contract::fused_product::FusedProduct;
pub use contract::lane_op::LaneOp;
pub use contract::lane_program::{Instruction, LaneProgram, Slot};
pub use contract::masked_product::MaskedProduct;
pub use contract::target::{ELEMENTWISE_SCAN, MASKED_PRODUCT, PRODUCTS, PROGRAM};
pub use describe::describe;
pub use offload::{call_elementwise_scans, call_kernels, call_masked_products};
