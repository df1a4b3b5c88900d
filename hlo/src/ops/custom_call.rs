//! A call of code that is registered with the runtime under a name.

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

/// The call target, its configuration and its result types.
#[derive(Clone, Debug)]
pub struct CustomCall {
    /// The name under which the code is registered with the runtime.
    pub target: &'static str,
    /// Named lists of integers: the only kind of configuration that the callee need not parse.
    pub config: Vec<(&'static str, Vec<i64>)>,
    /// Types of the results.
    pub outputs: Vec<TensorType>,
    /// The integers that each output can hold, if the replaced operations determined that.
    pub ranges: Vec<Option<Range>>,
    /// The batching rule: the same call over an additional leading axis.
    pub map: fn(&CustomCall, &Mapped) -> Option<Vec<Tensor>>,
}

impl CustomCall {
    /// Records the call.
    #[track_caller]
    pub fn on(self, graph: &Graph, operands: &[Tensor]) -> Vec<Tensor> {
        graph.record(Arc::new(self), operands)
    }
}

/// Equality ignores `map`, which follows from the other fields.
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
            // The API version with a dictionary as configuration, for code registered through XLA's FFI.
            ("api_version", "4 : i32".to_owned()),
            ("backend_config", format!("{{{}}}", config.join(", "))),
        ]
    }
    fn is_row_major(&self) -> bool {
        true
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let message = "has no reverse rule; differentiate before inserting kernel calls";
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
    // The only target built into every XLA: an annotation of a value, which is returned unchanged.
    fn remark(x: &Tensor) -> Vec<Tensor> {
        let (outputs, ranges) = (vec![x.ty().clone()], Vec::new());
        let map = |_: &CustomCall, mapped: &Mapped| Some(remark(&mapped.operand(0)));
        CustomCall { target: "Sharding", config: Vec::new(), outputs, ranges, map }
            .on(x.graph(), std::slice::from_ref(x))
    }
    vec![Sample::new("custom_call", |x| remark(&x[0])).input(DType::F32, [4, 3], -1.0, 1.0).forward_only()]
}
