//! The call of a Mosaic kernel. It contains the kernel's text, which XLA's TPU plugin compiles.

use std::sync::Arc;

use spiq_hlo::{DType, Tensor, TensorType};

use super::base64;
use super::kernel::Kernel;
use crate::contract::lane_op::LaneOp;
use crate::in_text::{InText, Text};
use crate::offload::ElementwiseLoop;

/// The call of a kernel on arrays of rows and columns.
pub(super) type MosaicCall = InText<Aliased>;

/// A kernel and where it writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Aliased {
    kernel: Arc<Kernel>,
    /// Results that take the memory of an operand: pairs of result and operand.
    aliases: Vec<(usize, usize)>,
}

/// Records the call of a loop's kernel; `None` if no kernel can compute it.
pub(super) fn record(this: ElementwiseLoop, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let ElementwiseLoop { program, outputs, ranges } = this;
    let whole = program.consts.len() + program.carries.len();
    let first = operands.first()?;
    let dims = if whole == 0 { &first.dims()[1..] } else { first.dims() };
    let kernel = Kernel::of(&program, dims).ok()?;
    let lanes = kernel.blocks.lanes;
    let shape = |over_time: bool| match over_time {
        true => vec![program.steps, lanes[0], lanes[1]],
        false => lanes.to_vec(),
    };
    let flat: Vec<Tensor> =
        operands.iter().enumerate().map(|(i, operand)| in_memory(operand).reshape(&shape(i >= whole))).collect();
    let carries = program.carries.len();
    let written = |(i, ty): (usize, &TensorType)| ty.with_dims(shape(i >= carries)).with_dtype(bytes(ty.dtype));
    let call = MosaicCall {
        outputs: outputs.iter().enumerate().map(written).collect(),
        program: Arc::new(program),
        text: Aliased { kernel: Arc::new(kernel), aliases: Vec::new() },
        ranges,
    };
    let results = first.graph().record(Arc::new(call), &flat);
    let as_before = |(result, ty): (Tensor, &TensorType)| result.reshape(&ty.dims).convert(ty.dtype);
    Some(results.into_iter().zip(&outputs).map(as_before).collect())
}

/// The type in which an array is passed to a kernel: booleans are bytes.
fn bytes(dtype: DType) -> DType {
    if dtype == DType::Pred { DType::S8 } else { dtype }
}

fn in_memory(operand: &Tensor) -> Tensor {
    operand.convert(bytes(operand.dtype()))
}

impl MosaicCall {
    /// The call with each output sequence in the memory of an input sequence of its type, if one is free.
    pub(super) fn with_aliases(&self, is_free: impl Fn(usize) -> bool) -> MosaicCall {
        let program = &self.program;
        let first = program.consts.len() + program.carries.len();
        let mut free: Vec<usize> = (0..program.slices.len()).filter(|i| is_free(first + i)).collect();
        let mut aliases = Vec::new();
        for (i, (_, dtype)) in program.outputs.iter().enumerate() {
            if let Some(at) = free.iter().position(|slice| program.slices[*slice] == *dtype) {
                aliases.push((program.carries.len() + i, first + free.remove(at)));
            }
        }
        MosaicCall { text: Aliased { aliases, ..self.text.clone() }, ..self.clone() }
    }

    /// The aliases as an attribute. The result of a call with a single one is not a tuple.
    fn printed_aliases(&self) -> String {
        let one = |(result, operand): &(usize, usize)| {
            let place = if self.outputs.len() == 1 { String::new() } else { result.to_string() };
            format!(
                "#stablehlo.output_operand_alias<output_tuple_indices = [{place}], operand_index = {operand}, operand_tuple_indices = []>"
            )
        };
        format!("[{}]", self.text.aliases.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    /// The compiler's view of the work: floating-point operations, exponentials and bytes.
    fn cost(&self) -> [usize; 3] {
        let program = &self.program;
        let elements = program.steps * program.lanes;
        let exponentials = program.instructions.iter().filter(|i| i.op == LaneOp::Exponential).count();
        let size = |dtype: &DType| dtype.bits().div_ceil(8);
        let sequences = program.slices.iter().chain(program.outputs.iter().map(|(_, dtype)| dtype));
        let a_lane: usize = program.consts.iter().map(size).sum::<usize>() + 8 * program.carries.len();
        let bytes = elements * sequences.map(size).sum::<usize>() + program.lanes * a_lane;
        [elements * program.instructions.len(), elements * exponentials, bytes]
    }

    fn config(&self) -> String {
        let [flops, transcendentals, bytes] = self.cost();
        let body = base64::encoded(self.text.kernel.text.as_bytes());
        let config = format!(
            r#"{{"custom_call_config": {{"body": "{body}", "cost_estimate": {{"flops": {flops}, "transcendentals": {transcendentals}, "bytes_accessed": {bytes}}}, "serialization_format": 1, "needs_layout_passes": true}}}}"#
        );
        format!("\"{}\"", config.replace('"', "\\22"))
    }
}

impl Text for Aliased {
    fn attrs(call: &MosaicCall) -> Vec<(&'static str, String)> {
        vec![
            ("call_target_name", "\"tpu_custom_call\"".to_owned()),
            ("backend_config", call.config()),
            ("output_operand_aliases", call.printed_aliases()),
        ]
    }
}
