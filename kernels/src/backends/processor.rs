//! CPU kernels: calls of code that is registered with the runtime and implemented in [`run`](crate::run).

use spiq_hlo::{Function, GraphErrors, Op};

use crate::backend::Backend;
use crate::contract::call::KernelCall;
use crate::contract::target::{ELEMENTWISE_SCAN, MASKED_PRODUCT};
use crate::offload::call_kernels;

/// Replaces elementwise loops and masked products by calls of this library's code.
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
        &[ELEMENTWISE_SCAN, MASKED_PRODUCT]
    }
    fn call(&self, function: &Function) -> Result<Function, GraphErrors> {
        call_kernels(function)
    }
    fn describe(&self, op: &dyn Op) -> Option<String> {
        KernelCall::of(op).map(|call| call.to_string())
    }
}
