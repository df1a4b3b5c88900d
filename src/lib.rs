//! Quantization-aware training of spiking neural networks, compiled by XLA through PJRT.

pub mod bench;
pub mod config;
pub mod data;
pub mod display;
mod error;
mod jit;
pub mod native;
pub mod network;
pub mod nn;
pub mod notebook;
pub mod optim;
pub mod pjrt;
pub mod predict;
pub mod prelude;
pub mod ptq;
pub mod quant;
pub mod random;
pub mod table;
pub mod train;

pub use error::{Error, ErrorKind, Result};
pub use jit::{Jit, Program, jit};
pub use spiq_hlo::{
    Array, ArrayError, ConvDims, Convolution, DType, DotDims, Element, Function, Graph, GraphErrors, PrintOptions,
    Tensor, TensorType, Tree, custom_vjp, einsum, grad, scan, trace, value_and_grad, vjp, vmap,
};

/// The README's example is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
