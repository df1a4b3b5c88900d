//! Convolutions of integers, computed by units for floats.

use crate::graph::error::GraphErrors;
use crate::graph::function::{Function, Node};
use crate::graph::tensor::Tensor;
use crate::ops::convolution::Convolution;
use crate::types::dtype::DType;

impl Function {
    /// The same function with convolutions of small integers in floats that hold all their sums: in bf16 with sums in f32, or else in f64. cuDNN, which
    /// computes the convolutions on NVIDIA cards, has none with sums in s32. Convolutions whose sums may exceed 2^53 stay.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn with_integer_convolutions_in_floats(&self) -> Result<Function, GraphErrors> {
        self.transform(&mut |node, operands| in_floats(node, operands))
    }
}

fn in_floats(node: &Node, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let conv = node.op.downcast::<Convolution>()?;
    let (x, kernel) = (&operands[0], &operands[1]);
    if conv.out.is_float() || x.is_poison() || kernel.is_poison() {
        return None;
    }
    let [of_x, of_kernel] = [magnitude(x)?, magnitude(kernel)?];
    let axes = &conv.dims.kernel;
    let count = axes.window.iter().chain([&axes.feature]).map(|&axis| kernel.dims()[axis] as i64).product::<i64>();
    let largest = of_x.checked_mul(of_kernel)?.checked_mul(count)?;
    let (narrow, sums) = match largest {
        ..=IN_F32 if of_x.max(of_kernel) <= IN_BF16 => (DType::BF16, DType::F32),
        ..=IN_F64 => (DType::F64, DType::F64),
        _ => return None,
    };
    let floats = Convolution { out: sums, ..conv.clone() };
    let summed = x.convert(narrow).convolution(&kernel.convert(narrow), &floats);
    // An algorithm that transforms its operands (Winograd's) is off by less than a half.
    Some(vec![summed.round_nearest_even().convert(conv.out)])
}

/// The largest integers up to which each type holds all.
const IN_BF16: i64 = 1 << 8;
const IN_F32: i64 = 1 << 24;
const IN_F64: i64 = 1 << 53;

fn magnitude(operand: &Tensor) -> Option<i64> {
    Some(operand.range()?.magnitudes()?.high)
}
