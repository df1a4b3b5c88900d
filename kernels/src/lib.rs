//! Elementwise loops over time, masked products and sparse convolutions as one kernel call each: their interface ([`contract`]), the passes that find them
//! in a function ([`offload`]), and their execution on CPUs ([`run`]) on GPUs (as Triton text) and on TPUs (as Mosaic text). A [`Backend`] is a platform's set of
//! kernels.
//!
//! Invariant: does not depend on plugins, files, threads or neurons.
#![deny(unsafe_code)]

mod backend;
mod backends;
pub mod contract;
mod describe;
mod in_text;
mod instructions;
pub mod offload;
pub mod run;
mod vector;

pub use backend::Backend;
pub use backends::{BACKENDS, backend};
pub use contract::call::KernelCall;
pub use contract::fused_product::{FusedProduct, Left};
pub use contract::lane_op::LaneOp;
pub use contract::lane_program::{Instruction, LaneProgram, Slot};
pub use contract::masked_product::MaskedProduct;
pub use contract::sparse_convolution::{Convolved, SparseConvolution};
pub use contract::target::{ELEMENTWISE_SCAN, MASKED_PRODUCT, PRODUCTS, PROGRAM, SPARSE_CONVOLUTION};
pub use describe::describe;
pub use offload::{call_elementwise_scans, call_kernels, call_masked_products};
