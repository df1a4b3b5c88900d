//! Kernels for TPUs: prints a [`LaneProgram`] as Mosaic's stable text, which XLA's TPU plugin compiles as part of a program, and replaces
//! scans by calls of such kernels.

mod aliases;
mod base64;
mod blocks;
mod call;
mod instruction;
mod kernel;
mod module;
mod text;

use spiq_hlo::{Function, GraphErrors, Op};

use crate::backend::Backend;
use crate::contract::lane_program::LaneProgram;
use crate::in_text::only_call;
use crate::offload::{remaining_loops, replace_elementwise_scans};

/// Replaces elementwise loops by Mosaic kernels. A scan that no kernel can compute (2³¹ or more elements in a sequence, other element
/// types, steps that are not elementwise) remains a loop.
///
/// A sum with a product is rounded twice, as in XLA's loops for TPUs. Divisions, roots and exponentials are those of the chip.
#[derive(Debug)]
pub struct Mosaic;

impl Backend for Mosaic {
    fn name(&self) -> &'static str {
        "mosaic"
    }
    fn platforms(&self) -> &'static [&'static str] {
        &["tpu"]
    }
    fn call(&self, function: &Function) -> Result<Function, GraphErrors> {
        Ok(aliases::with_aliases(&replace_elementwise_scans(&function.lower_to_loops()?, call::record)?))
    }
    fn remaining(&self, function: &Function) -> Vec<(String, String)> {
        remaining_loops(function, |program, dims| kernel::Kernel::of(program, dims).err())
    }
    fn describe(&self, op: &dyn Op) -> Option<String> {
        op.downcast::<call::MosaicCall>().map(|call| call.program.to_string())
    }
}

impl LaneProgram {
    /// The loop as a Mosaic module, for lanes of the shape `dims`: a function of blocks of constants, carries, sequences, final carries and
    /// outputs, for each place of a grid.
    ///
    /// # Errors
    /// Why no kernel can compute the loop.
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
    /// assert!(sums.mosaic(&[4, 16])?.contains("stable_mosaic.arith.addf"));
    /// # Ok::<(), String>(())
    /// ```
    pub fn mosaic(&self, dims: &[usize]) -> Result<String, String> {
        kernel::Kernel::of(self, dims).map(|kernel| kernel.text)
    }

    /// A function that only calls the loop's Mosaic kernel: from constants and carries of the shape `dims` and sequences `[steps, dims]` to
    /// final carries and outputs. `None` if there is no such kernel.
    pub fn mosaic_function(&self, dims: &[usize]) -> Option<Function> {
        only_call(self, dims, call::record)
    }
}
