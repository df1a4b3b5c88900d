//! The interface of kernels: elementwise loops and masked products as numbered plain data, each with one encoding and one text form.
//!
//! Invariant: does not depend on the passes that find kernels or on the code that computes them.

pub mod call;
pub mod element;
pub mod fused_product;
pub mod lane_op;
pub mod lane_program;
mod lane_text;
pub mod masked_product;
pub mod parse;
pub mod sparse_convolution;
pub mod target;
