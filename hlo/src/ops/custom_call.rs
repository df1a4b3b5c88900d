//! A call of code that the runtime registers under a name. Knows nothing of what that code computes.

use std::sync::Arc;

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::op::{Cotangents, Infer, Op, Recompute, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::tensor::Tensor;
use crate::graph::trace::Graph;
use crate::ops::sample::Sample;
use crate::print::literal::array_signed;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// Which code is called, what it is told besides its operands, and what it gives.
#[derive(Clone, Debug)]
pub struct CustomCall {
    /// The name under which the runtime knows the code.
    pub target: &'static str,
    /// Lists of whole numbers by name: the one kind of configuration that needs no parsing at the other end.
    pub config: Vec<(&'static str, Vec<i64>)>,
    /// Types of the results.
    pub outputs: Vec<TensorType>,
    /// Which integers each output can hold, where what it stands for knew that.
    pub ranges: Vec<Option<Range>>,
    /// The same call over one more leading axis.
    pub map: fn(&CustomCall, &Mapped) -> Option<Vec<Tensor>>,
}

impl CustomCall {
    /// Records the call.
    #[track_caller]
    pub fn on(self, graph: &Graph, operands: &[Tensor]) -> Vec<Tensor> {
        graph.record(Arc::new(self), operands)
    }
}

/// Calls of the same code with the same configuration are equal: how they map follows from these.
impl PartialEq for CustomCall {
    fn eq(&self, other: &CustomCall) -> bool {
        self.target == other.target
            && self.config == other.config
            && self.outputs == other.outputs
            && self.ranges == other.ranges
    }
}

impl Op for CustomCall {
    fn name(&self) -> &'static str {
        "custom_call"
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        Ok(self.outputs.clone())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let config: Vec<String> =
            self.config.iter().map(|(name, list)| format!("{name} = {}", array_signed(list))).collect();
        vec![
            ("call_target_name", format!("\"{}\"", self.target)),
            // The version in which configuration is a dictionary and code is registered through XLA's FFI.
            ("api_version", "4 : i32".to_owned()),
            ("backend_config", format!("{{{}}}", config.join(", "))),
        ]
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let message = "has no reverse rule; differentiate before kernels are called";
        reverse.outs[0].graph().fail("custom_call", Violation::new("", message));
        vec![None; reverse.ins.len()]
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        (self.map)(self, mapped)
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, _: &Ranges) -> Vec<Option<Range>> {
        self.ranges.clone()
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    // The one target that every XLA knows by itself: a remark on a value, which is handed on as it is.
    fn remark(x: &Tensor) -> Vec<Tensor> {
        let (outputs, ranges) = (vec![x.ty().clone()], Vec::new());
        let map = |_: &CustomCall, mapped: &Mapped| Some(remark(&mapped.operand(0)));
        CustomCall { target: "Sharding", config: Vec::new(), outputs, ranges, map }
            .on(x.graph(), std::slice::from_ref(x))
    }
    vec![Sample::new("custom_call", |x| remark(&x[0])).input(DType::F32, [4, 3], -1.0, 1.0).forward_only()]
}
