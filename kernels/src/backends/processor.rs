//! CPU kernels: calls of code that is registered with the runtime and implemented in [`run`](crate::run).

use spiq_hlo::{Function, GraphErrors, Op};

use crate::backend::Backend;
use crate::contract::call::KernelCall;
use crate::contract::target::{ELEMENTWISE_SCAN, MASKED_PRODUCT, SPARSE_CONVOLUTION};
use crate::offload::{call_kernels, remaining_loops, stores};

/// Replaces elementwise loops, masked products and sparse convolutions by calls of this library's code.
#[derive(Debug)]
pub struct Processor;

impl Backend for Processor {
    fn name(&self) -> &'static str {
        "processor"
    }
    fn platforms(&self) -> &'static [&'static str] {
        &["cpu"]
    }
    fn targets(&self) -> &'static [&'static str] {
        &[ELEMENTWISE_SCAN, MASKED_PRODUCT, SPARSE_CONVOLUTION]
    }
    fn call(&self, function: &Function) -> Result<Function, GraphErrors> {
        call_kernels(function)
    }
    fn remaining(&self, function: &Function) -> Vec<(String, String)> {
        remaining_loops(function, |program, _| {
            let written = program.outputs.iter().map(|(_, dtype)| dtype).find(|dtype| !stores(**dtype));
            written.map(|dtype| format!("the kernels of the processor do not write {dtype}"))
        })
    }
    fn describe(&self, op: &dyn Op) -> Option<String> {
        KernelCall::of(op).map(|call| call.to_string())
    }
}
