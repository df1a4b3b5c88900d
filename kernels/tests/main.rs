//! Tests of the kernels that need no plugin.

mod contract;
mod describe;
mod emit;
mod fast_path;
mod mosaic;
mod prologue;
mod ranges;
mod run;

use spiq_hlo::{DType, Function, Tensor, TensorType, trace};
use spiq_kernels::{KernelCall, call_kernels};

fn f32(dims: &[usize]) -> TensorType {
    TensorType::new(DType::F32, dims)
}

#[track_caller]
fn traced(inputs: &[(&str, TensorType)], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Function {
    let function = trace(inputs, f).unwrap_or_else(|e| panic!("{e}"));
    function.verify().unwrap_or_else(|e| panic!("{e}"));
    function
}

/// The kernel calls of a function after conversion.
#[track_caller]
fn calls(function: &Function) -> Vec<KernelCall> {
    let called = call_kernels(function).unwrap_or_else(|e| panic!("{e}"));
    called.verify().unwrap_or_else(|e| panic!("{e}"));
    let mut calls = Vec::new();
    called.each_node(&mut |node, _| calls.extend(KernelCall::of(node.op.as_ref())));
    calls
}
