//! The operation that calls a Triton kernel. It contains the kernel's text, which XLA's CUDA plugin compiles.

use std::sync::Arc;

use spiq_hlo::{Cotangents, Infer, Mapped, Op, Range, Ranges, Recompute, Reverse, Tensor, TensorType, Violation};

use super::kernel::{Kernel, NAME};
use super::repeated::Repeated;
use crate::contract::lane_program::LaneProgram;
use crate::offload::ElementwiseLoop;

/// The call of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TritonCall {
    /// The computation of the kernel.
    pub(super) program: Arc<LaneProgram>,
    kernel: Arc<Kernel>,
    outputs: Vec<TensorType>,
    /// The integers that each output can hold, if the loop determined that.
    ranges: Vec<Option<Range>>,
}

/// Records the call of a loop's kernel; `None` if no kernel can compute it.
pub(super) fn record(this: ElementwiseLoop, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let ElementwiseLoop { program, outputs, ranges } = this;
    let (once, sequences) = operands.split_at(program.consts.len() + program.carries.len());
    let once: Vec<Repeated> = once.iter().map(Repeated::of).collect();
    let periods: Vec<usize> = once.iter().map(|operand| operand.period).collect();
    let kernel = Arc::new(Kernel::of(&program, &periods)?);
    let operands: Vec<Tensor> = once.into_iter().map(|operand| operand.elements).chain(sequences.to_vec()).collect();
    let call = TritonCall { program: Arc::new(program), kernel, outputs, ranges };
    Some(operands[0].graph().record(Arc::new(call), &operands))
}

impl Op for TritonCall {
    fn name(&self) -> &'static str {
        "custom_call"
    }
    fn infer(&self, _: &[TensorType]) -> Infer {
        Ok(self.outputs.clone())
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        let Kernel { text, grid, warps } = self.kernel.as_ref();
        let config = format!(
            "{{name = \"{NAME}\", ir = \"{}\", num_stages = 1 : i32, num_warps = {warps} : i32, \
             grid_x = {grid} : i32, grid_y = 1 : i32, grid_z = 1 : i32}}",
            escaped(text)
        );
        vec![
            ("call_target_name", "\"__gpu$xla.gpu.triton\"".to_owned()),
            ("api_version", "4 : i32".to_owned()),
            ("backend_config", config),
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

/// Escapes text for an MLIR string.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\5C").replace('"', "\\22").replace('\n', "\\0A")
}
