//! Calls of kernels whose text the program contains, for compilers that compile the text as part of the program.

use std::fmt::Debug;
use std::sync::Arc;

use spiq_hlo::{
    Cotangents, DType, Function, Infer, Mapped, Op, Range, Ranges, Recompute, Reverse, Tensor, TensorType, Violation,
    trace,
};

use crate::contract::lane_program::LaneProgram;
use crate::offload::{ElementwiseLoop, Record};

/// The text of a kernel, as the attributes of its call.
pub(crate) trait Text: Clone + Debug + PartialEq + Send + Sync + 'static {
    /// The attributes of the call.
    fn attrs(call: &InText<Self>) -> Vec<(&'static str, String)>;
}

/// The call of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InText<T> {
    /// The computation of the kernel.
    pub(crate) program: Arc<LaneProgram>,
    /// Its text.
    pub(crate) text: T,
    /// The types of the results.
    pub(crate) outputs: Vec<TensorType>,
    /// The integers that each result can hold, if the loop determined that.
    pub(crate) ranges: Vec<Option<Range>>,
}

impl<T: Text> Op for InText<T> {
    fn name(&self) -> &'static str {
        "custom_call"
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        Ok(self.outputs.clone())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        T::attrs(self)
    }
    fn is_row_major(&self) -> bool {
        true
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let message = "has no reverse rule; differentiate before inserting kernel calls";
        reverse.outs[0].graph().fail("custom_call", Violation::new("", message));
        vec![None; reverse.ins.len()]
    }
    fn batch(&self, _: &Mapped) -> Option<Vec<Tensor>> {
        None
    }
    fn recompute(&self) -> Recompute {
        Recompute::Costly
    }
    fn range(&self, _: &Ranges) -> Vec<Option<Range>> {
        self.ranges.clone()
    }
}

/// A function that only calls a loop's kernel: from constants and carries of the shape `dims` and sequences `[steps, dims]` to final carries
/// and outputs. `None` if no kernel can compute the loop.
pub(crate) fn only_call(program: &LaneProgram, dims: &[usize], record: Record) -> Option<Function> {
    let all = |dtype: DType| TensorType::new(dtype, dims);
    let rows = |dtype: DType| TensorType::new(dtype, [&[program.steps], dims].concat());
    let carries = || program.carries.iter().map(|_| all(DType::F32));
    let consts = program.consts.iter().map(|dtype| all(*dtype));
    let inputs = consts.chain(carries()).chain(program.slices.iter().map(|dtype| rows(*dtype)));
    let inputs: Vec<(&str, TensorType)> = inputs.map(|ty| ("", ty)).collect();
    let outputs: Vec<TensorType> = carries().chain(program.outputs.iter().map(|(_, dtype)| rows(*dtype))).collect();
    let ranges = vec![None; outputs.len()];
    let this = ElementwiseLoop { program: program.clone(), outputs, ranges };
    trace(&inputs, |operands| record(this, operands).unwrap_or_default()).ok().filter(|f| !f.results().is_empty())
}
