//! The loops that no kernel computes, with the reason.

use spiq_hlo::{Function, Scan, TensorType};

use super::body::program_of;
use crate::contract::lane_program::LaneProgram;

/// Why the kernels of a platform cannot compute a program whose lanes have this shape, as the end of a sentence about the loop; `None`: they
/// can.
pub type Refusal = fn(&LaneProgram, &[usize]) -> Option<String>;

/// The loops that remain in a function after others were replaced by kernel calls: module path and reason. A loop around kernels or other
/// loops, such as that over training steps, is not meant to be a kernel.
pub fn remaining_loops(function: &Function, refusal: Refusal) -> Vec<(String, String)> {
    let mut remaining = Vec::new();
    function.each_node(&mut |node, operands| {
        if let Some(scan) = node.op.downcast::<Scan>().filter(|scan| is_innermost(scan.body())) {
            remaining.push((node.scope.to_string(), reason(scan, operands, refusal)));
        }
    });
    remaining
}

/// Whether a step contains neither loops nor calls.
fn is_innermost(body: &Function) -> bool {
    let mut innermost = true;
    body.each_node(&mut |node, _| innermost &= !matches!(node.op.name(), "scan" | "while" | "custom_call"));
    innermost
}

fn reason(scan: &Scan, operands: &[TensorType], refusal: Refusal) -> String {
    let program = match program_of(scan) {
        Err(reason) => return reason,
        Ok(program) => program,
    };
    let parts = scan.parts(operands);
    let whole = parts.consts.iter().chain(parts.carries).next().map(|ty| ty.dims.as_slice());
    let dims = whole.or_else(|| Some(&parts.xs.first()?.dims[1..])).unwrap_or_default();
    refusal(&program, dims).unwrap_or_else(|| "no kernel was made for it".to_owned())
}
