//! Kernels for NVIDIA cards: prints a [`LaneProgram`] as Triton's intermediate text, which XLA's plugin for CUDA compiles inside a
//! program, and puts calls of such kernels in the place of scans.

mod call;
mod instruction;
mod kernel;
mod text;

use spiq_hlo::{DType, Function, GraphErrors, Op, TensorType, trace};

use crate::backend::Backend;
use crate::contract::lane_program::LaneProgram;
use crate::offload::{ElementwiseLoop, replace_elementwise_scans};

/// Elementwise loops as Triton kernels. A scan that no kernel can hold (more than 2³¹ elements in a sequence, other element types,
/// steps that are not elementwise) stays a loop.
///
/// A kernel rounds as the processor's does: products that only a sum reads are rounded once with it. Exponentials are the card's own.
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
    fn describe(&self, op: &dyn Op) -> Option<String> {
        op.downcast::<call::TritonCall>().map(|call| call.program.to_string())
    }
}

impl LaneProgram {
    /// The loop as a Triton module: a function of pointers to constants, carries, sequences, last carries and outputs. `None`: no
    /// kernel can hold it.
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
        kernel::Kernel::of(self).map(|kernel| kernel.text)
    }

    /// A function that calls the loop's Triton kernel and does nothing else: from constants and carries `[lanes]` and
    /// sequences `[steps, lanes]` to last carries and outputs. `None` as for [`triton`](LaneProgram::triton).
    pub fn triton_function(&self) -> Option<Function> {
        let all = |dtype: DType| TensorType::new(dtype, [self.lanes]);
        let rows = |dtype: DType| TensorType::new(dtype, [self.steps, self.lanes]);
        let carries = || self.carries.iter().map(|_| all(DType::F32));
        let consts = self.consts.iter().map(|dtype| all(*dtype));
        let inputs = consts.chain(carries()).chain(self.slices.iter().map(|dtype| rows(*dtype)));
        let inputs: Vec<(&str, TensorType)> = inputs.map(|ty| ("", ty)).collect();
        let outputs: Vec<TensorType> = carries().chain(self.outputs.iter().map(|(_, dtype)| rows(*dtype))).collect();
        let ranges = vec![None; outputs.len()];
        let this = ElementwiseLoop { program: self.clone(), outputs, ranges };
        trace(&inputs, |operands| call::record(this, operands).unwrap_or_default())
            .ok()
            .filter(|f| !f.results().is_empty())
    }
}
