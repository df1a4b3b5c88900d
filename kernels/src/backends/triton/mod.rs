//! Kernels for NVIDIA GPUs: prints a [`LaneProgram`] as Triton IR, which XLA's CUDA plugin compiles as part of a program, and replaces
//! scans by calls of such kernels.

mod call;
mod instruction;
mod kernel;
mod repeated;
mod text;

use spiq_hlo::{Function, GraphErrors, Op};

use crate::backend::Backend;
use crate::contract::lane_program::LaneProgram;
use crate::in_text::only_call;
use crate::offload::{remaining_loops, replace_elementwise_scans};

/// Replaces elementwise loops by Triton kernels. A scan that no kernel can compute (2³¹ or more elements in a sequence, other element
/// types, steps that are not elementwise) remains a loop.
///
/// Kernels round like the CPU's: a product that only a sum reads is fused with it and rounded once. Exponentials use the GPU's own
/// implementation.
#[derive(Debug)]
pub struct Triton;

impl Backend for Triton {
    fn name(&self) -> &'static str {
        "triton"
    }
    fn platforms(&self) -> &'static [&'static str] {
        &["cuda"]
    }
    fn call(&self, function: &Function) -> Result<Function, GraphErrors> {
        replace_elementwise_scans(&function.lower_to_loops()?, call::record)
    }
    fn remaining(&self, function: &Function) -> Vec<(String, String)> {
        remaining_loops(function, |program, _| {
            let refused = kernel::Kernel::of(program, &[]).is_none();
            refused.then(|| "it has 2^31 or more elements, or a type that the kernels for GPUs do not hold".to_owned())
        })
    }
    fn describe(&self, op: &dyn Op) -> Option<String> {
        op.downcast::<call::TritonCall>().map(|call| call.program.to_string())
    }
}

impl LaneProgram {
    /// The loop as a Triton module: a function of pointers to constants, carries, sequences, final carries and outputs. `None`: no kernel
    /// can compute it.
    ///
    /// ```
    /// use spiq_hlo::DType;
    /// use spiq_kernels::{Instruction, LaneOp, LaneProgram, Slot};
    /// let add = Instruction::new(LaneOp::Add, &[Slot::Carry(0), Slot::Slice(0)]);
    /// let sums = LaneProgram {
    ///     steps: 8,
    ///     lanes: 64,
    ///     reverse: false,
    ///     consts: vec![],
    ///     carries: vec![Slot::Result(0)],
    ///     slices: vec![DType::F32],
    ///     outputs: vec![(Slot::Result(0), DType::F32)],
    ///     instructions: vec![add],
    /// };
    /// assert!(sums.triton().expect("f32 fits").contains("arith.addf"));
    /// ```
    pub fn triton(&self) -> Option<String> {
        kernel::Kernel::of(self, &[]).map(|kernel| kernel.text)
    }

    /// A function that only calls the loop's Triton kernel: from constants and carries `[lanes]` and sequences `[steps, lanes]` to final
    /// carries and outputs. `None` as for [`triton`](LaneProgram::triton).
    pub fn triton_function(&self) -> Option<Function> {
        only_call(self, &[self.lanes], call::record)
    }
}
