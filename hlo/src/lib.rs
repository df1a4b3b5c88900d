//! A traced graph of StableHLO operations: shape inference, differentiation, scans, printing.
//!
//! Invariant: does not depend on PJRT, files, threads, kernels, spikes or quantization.
#![forbid(unsafe_code)]

mod graph;
mod numpy;
mod ops;
mod print;
mod samples;
mod scan;
mod transform;
mod types;

pub use graph::axes::{Index, Keepdims, ReductionAxes, keepdims};
pub use graph::batch::Mapped;
pub use graph::error::{GraphError, GraphErrors, Violation, name_places, place_name};
pub use graph::function::{Function, Node, Rewrite, Value};
pub use graph::lane::{Lane, LaneFn};
pub use graph::op::{Cotangents, Infer, Narrowed, Op, Recompute, Reverse};
pub use graph::range::{Range, Ranges};
pub use graph::shard::{Gathered, Laid, Local, Split};
pub use graph::structure::{Static, StaticValue, Structure, TreeError};
pub use graph::tensor::{Origin, Tensor};
pub use graph::trace::{Graph, trace};
pub use graph::tree::{Leaf, Part, Tree, join_path, zip_map};
pub use numpy::arrange::stack;
pub use numpy::erf::{ERF_CLAMP, ERF_DENOMINATOR, ERF_NUMERATOR};
pub use ops::collective::{AllGather, AllReduce};
pub use ops::constant::{Constant, Operand};
pub use ops::control::{switch, while_loop};
pub use ops::convolution::{Axes, ConvDims, Convolution};
pub use ops::custom_call::CustomCall;
pub use ops::dot_general::{DotDims, DotGeneral};
pub use ops::einsum::einsum;
pub use ops::gather::WindowDims;
pub use ops::gradient::custom_vjp;
pub use ops::promotion;
pub use ops::reduce_window::{ReduceWindow, Window};
pub use ops::shape::BroadcastInDim;
pub use ops::slice::concatenate;
pub use ops::sort::sort;
pub use ops::window::same_padding;
pub use print::PrintOptions;
pub use samples::{Domain, Sample, samples};
pub use scan::associative::associative_scan;
pub use scan::checkpoint::{checkpoint, scan_checkpointed};
pub use scan::operation::{Parts, Scan, scan, trace_body};
pub use scan::running_sum::running_sum;
pub use transform::autodiff::{Objective, grad, value_and_grad, vjp};
pub use transform::jacobian::{hessian, jacobian};
pub use transform::shard::{Division, Sharded};
pub use transform::vmap::vmap;
pub use types::array::{Array, ArrayError, Element};
pub use types::dtype::{DType, Kind};
pub use types::tensor_type::TensorType;
