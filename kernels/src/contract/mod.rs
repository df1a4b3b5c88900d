//! What a kernel is: elementwise loops and masked products as numbered plain data, each with one encoding and one printed form.
//!
//! Invariant: depends on no pass that finds them and on nothing that computes them.

pub mod call;
pub mod element;
pub mod fused_product;
pub mod lane_op;
pub mod lane_program;
mod lane_text;
pub mod masked_product;
pub mod parse;
pub mod target;
