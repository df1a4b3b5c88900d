//! Finds scans with elementwise steps and replaces them by kernel calls.

use spiq_hlo::{CustomCall, Function, GraphErrors, Mapped, Op, Range, Ranges, Scan, Tensor, TensorType};

use super::body::{program_of, stores};
use super::convert_inside::convert_inside;
use super::prologue::with_prologue;
use super::recurrent::{RecurrentLoop, recurrent};
use crate::contract::call::KernelCall;
use crate::contract::lane_program::LaneProgram;

/// Records the call of a loop.
fn call(
    program: LaneProgram,
    outputs: Vec<TensorType>,
    ranges: Vec<Option<Range>>,
    operands: &[Tensor],
) -> Vec<Tensor> {
    let call = KernelCall::Loop(program, Vec::new());
    CustomCall { target: call.target(), config: call.config(), outputs, ranges, map }.on(operands[0].graph(), operands)
}

/// Records the call of a loop of recurrent neurons.
fn call_recurrent(scan: &Scan, outputs: &[TensorType], operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let ranges = ranges_of(scan, operands);
    let RecurrentLoop { program, product, operands } = recurrent(scan, operands)?;
    if !program.outputs.iter().all(|(_, dtype)| stores(*dtype)) {
        return None;
    }
    let call = KernelCall::Loop(program, vec![product]);
    let (target, config, outputs) = (call.target(), call.config(), outputs.to_vec());
    Some(CustomCall { target, config, outputs, ranges, map }.on(operands[0].graph(), &operands))
}

/// An elementwise scan in the form that back ends need.
pub struct ElementwiseLoop {
    /// The loop.
    pub program: LaneProgram,
    /// The types of final carries and stacked outputs.
    pub outputs: Vec<TensorType>,
    /// The ranges of the scan's results, which also hold for its replacement: an enclosing loop may rely on them.
    pub ranges: Vec<Option<Range>>,
}

impl ElementwiseLoop {
    /// `None` if the steps of the scan are not elementwise.
    fn of(scan: &Scan, outputs: &[TensorType], operands: &[Tensor]) -> Option<ElementwiseLoop> {
        let program = program_of(scan).ok()?;
        Some(ElementwiseLoop { program, outputs: outputs.to_vec(), ranges: ranges_of(scan, operands) })
    }
}

/// The ranges of a scan's results.
fn ranges_of(scan: &Scan, operands: &[Tensor]) -> Vec<Option<Range>> {
    let known: Vec<Option<Range>> = operands.iter().map(Tensor::range).collect();
    let types: Vec<TensorType> = operands.iter().map(|t| t.ty().clone()).collect();
    scan.range(&Ranges { ins: &known, types: &types })
}

/// Records a loop's replacement; `None` keeps the scan.
pub type Record = fn(ElementwiseLoop, &[Tensor]) -> Option<Vec<Tensor>>;

/// The batching rule: lanes are independent, so a mapped axis only adds lanes. Time remains the leading axis.
fn map(call: &CustomCall, mapped: &Mapped) -> Option<Vec<Tensor>> {
    let KernelCall::Loop(program, products) = KernelCall::of(call)? else { return None };
    if !products.is_empty() {
        // Fused products have their own rows; calls with them are recorded after all transforms that map functions.
        return None;
    }
    let (carries, first_slice) = (program.carries.len(), program.consts.len() + program.carries.len());
    let place = |(i, t): (usize, Tensor), stays: usize| if i < stays { t } else { t.swap_axes(0, 1) };
    let operands: Vec<Tensor> =
        mapped.operands().into_iter().enumerate().map(|(i, t)| place((i, t), first_slice)).collect();
    let wide = |(i, ty): (usize, &TensorType)| {
        let mut dims = ty.dims.clone();
        dims.insert(usize::from(i >= carries), mapped.size);
        ty.with_dims(dims)
    };
    let outputs = call.outputs.iter().enumerate().map(wide).collect();
    let program = LaneProgram { lanes: program.lanes * mapped.size, ..program };
    let results = self::call(program, outputs, call.ranges.clone(), &operands);
    Some(results.into_iter().enumerate().map(|result| place(result, carries)).collect())
}

/// Replaces each scan with elementwise steps by one kernel call. It has the operands and results of the scan: constants, carries,
/// sequences; final carries, stacked outputs.
///
/// Elementwise producers of the loop's sequences and conversions of its results are fused into it. A sum with a product inside the loop
/// that has no other reader is rounded once, as in XLA:CPU. Scans that do anything besides f32 arithmetic on elements of equal index
/// remain unchanged.
///
/// # Errors
/// None for a function that was traced without errors.
pub fn call_elementwise_scans(function: &Function) -> Result<Function, GraphErrors> {
    let elementwise = replace_elementwise_scans(function, |this, operands| {
        let written = this.program.outputs.iter().all(|(_, dtype)| stores(*dtype));
        written.then(|| call(this.program, this.outputs, this.ranges, operands))
    })?;
    elementwise.transform(&mut |node, operands| {
        let scan = node.op.downcast::<Scan>()?;
        let whole =
            with_prologue(scan, operands).and_then(|(scan, operands)| call_recurrent(&scan, &node.types, &operands));
        whole.or_else(|| call_recurrent(scan, &node.types, operands))
    })
}

/// Replaces each elementwise scan by what `record` records for it.
///
/// # Errors
/// None for a function that was traced without errors.
pub fn replace_elementwise_scans(function: &Function, record: Record) -> Result<Function, GraphErrors> {
    convert_inside(&function.simplify()).transform(&mut |node, operands| {
        let scan = node.op.downcast::<Scan>()?;
        let of = |scan: &Scan, operands: &[Tensor]| record(ElementwiseLoop::of(scan, &node.types, operands)?, operands);
        let whole = with_prologue(scan, operands).and_then(|(scan, operands)| of(&scan, &operands));
        whole.or_else(|| of(scan, operands))
    })
}
