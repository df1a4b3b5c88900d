//! The call of a Triton kernel. It contains the kernel's text, which XLA's CUDA plugin compiles.

use std::sync::Arc;

use spiq_hlo::Tensor;

use super::kernel::{Kernel, NAME};
use super::repeated::Repeated;
use crate::in_text::{InText, Text};
use crate::offload::ElementwiseLoop;

/// The call of a kernel.
pub(super) type TritonCall = InText<Arc<Kernel>>;

/// Records the call of a loop's kernel; `None` if no kernel can compute it.
pub(super) fn record(this: ElementwiseLoop, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let ElementwiseLoop { program, outputs, ranges } = this;
    let (once, sequences) = operands.split_at(program.consts.len() + program.carries.len());
    let once: Vec<Repeated> = once.iter().map(Repeated::of).collect();
    let periods: Vec<usize> = once.iter().map(|operand| operand.period).collect();
    let text = Arc::new(Kernel::of(&program, &periods)?);
    let operands: Vec<Tensor> = once.into_iter().map(|operand| operand.elements).chain(sequences.to_vec()).collect();
    let call = InText { program: Arc::new(program), text, outputs, ranges };
    Some(operands[0].graph().record(Arc::new(call), &operands))
}

impl Text for Arc<Kernel> {
    fn attrs(call: &TritonCall) -> Vec<(&'static str, String)> {
        let Kernel { text, grid, warps } = call.text.as_ref();
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
}

/// Escapes text for an MLIR string.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\5C").replace('"', "\\22").replace('\n', "\\0A")
}
