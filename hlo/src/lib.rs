//! A traced graph of StableHLO operations. Knows nothing of PJRT, files, threads, spikes or quantization.
#![forbid(unsafe_code)]

mod array;
mod associative_scan;
mod autodiff;
mod batch;
mod checkpoint;
mod control;
mod cotangent;
mod dtype;
mod elementwise_scan;
mod error;
mod function;
mod graph;
mod lane_program;
mod lower;
mod minifloat;
mod numbering;
mod op;
mod ops;
mod print;
mod product_in_scan;
mod prologue;
mod promotion;
mod range;
mod residuals;
mod running_sum;
mod scan;
mod scan_reverse;
mod simplify;
mod spike_product;
mod split_border;
mod split_time;
mod tensor;
mod tree;
mod types;
mod verify;

pub use array::{Array, ArrayError, Element};
pub use associative_scan::associative_scan;
pub use autodiff::{grad, value_and_grad, vjp};
pub use batch::{Mapped, vmap};
pub use checkpoint::{checkpoint, scan_checkpointed};
pub use control::{switch, while_loop};
pub use dtype::{DType, Kind};
pub use elementwise_scan::ELEMENTWISE_SCAN;
pub use error::{GraphError, GraphErrors, Violation, name_places, place_name};
pub use function::{Function, Node, Rewrite, Value};
pub use graph::Graph;
pub use lane_program::{Instruction, LaneOp, LaneProgram, Slot};
pub use op::{Cotangents, Infer, Op, Recompute, Reverse};
pub use ops::constant::Operand;
pub use ops::convolution::{Axes, ConvDims, Convolution};
pub use ops::dot_general::{DotDims, DotGeneral};
pub use ops::einsum::einsum;
pub use ops::gather::WindowDims;
pub use ops::gradient::custom_vjp;
pub use ops::reduce_window::Window;
pub use ops::slice::concatenate;
pub use ops::sort::sort;
pub use ops::window::same_padding;
pub use ops::{Domain, Sample, samples};
pub use print::PrintOptions;
pub use product_in_scan::SCAN_PRODUCTS;
pub use range::{Range, Ranges};
pub use running_sum::running_sum;
pub use scan::scan;
pub use simplify::Narrowed;
pub use spike_product::{SPIKE_PRODUCT, SpikeProduct};
pub use tensor::Tensor;
pub use tree::Tree;
pub use types::TensorType;

/// Traces `f` on parameters of these names and types.
///
/// # Errors
/// Every wrong call that `f` makes, each with its line.
#[track_caller]
pub fn trace(inputs: &[(&str, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Result<Function, GraphErrors> {
    let graph = Graph::new();
    let tensors: Vec<Tensor> = inputs.iter().map(|(name, ty)| graph.input(*name, ty.clone())).collect();
    let results = f(&tensors);
    graph.finish(&results)
}
