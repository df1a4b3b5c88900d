//! Changes of element type: by value (convert) and by bits (bitcast_convert).

use crate::graph::batch::Mapped;
use crate::graph::error::Violation;
use crate::graph::lane::Lane;
use crate::graph::op::{Cotangents, Infer, Op, Reverse};
use crate::graph::range::{Range, Ranges};
use crate::graph::shard::{Laid, Local};
use crate::graph::tensor::Tensor;
use crate::ops::sample::Sample;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

#[derive(Debug, PartialEq)]
struct Convert(DType);

impl Op for Convert {
    fn name(&self) -> &'static str {
        "convert"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        Ok(vec![operands[0].with_dtype(self.0)])
    }
    fn attrs(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn vjp(&self, reverse: &Reverse) -> Cotangents {
        let from = reverse.ins[0].dtype();
        vec![from.is_float().then(|| reverse.ct().convert(from))]
    }
    fn is_elementwise(&self) -> bool {
        true
    }
    fn lane(&self) -> Option<Lane> {
        Some(Lane::Convert(Box::new(Lane::Operand(0)), self.0))
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(Convert(self.0))
    }
    fn range(&self, of: &Ranges) -> Vec<Option<Range>> {
        // A nonzero value becomes true; otherwise the range is dropped if the new type cannot hold it.
        vec![of.ins[0].filter(|_| self.0 != DType::Pred)]
    }
}

#[derive(Debug, PartialEq)]
struct BitcastConvert(DType);

impl Op for BitcastConvert {
    fn name(&self) -> &'static str {
        "bitcast_convert"
    }
    fn infer(&self, operands: &[TensorType]) -> Infer {
        if operands[0].dtype.bits() != self.0.bits() {
            let message = format!("{} has no {} elements of the same width", operands[0], self.0);
            return Err(Violation::new("C1", message));
        }
        Ok(vec![operands[0].with_dtype(self.0)])
    }
    fn vjp(&self, _: &Reverse) -> Cotangents {
        vec![None]
    }
    fn has_derivative(&self) -> bool {
        false
    }
    fn batch(&self, mapped: &Mapped) -> Option<Vec<Tensor>> {
        mapped.elementwise(BitcastConvert(self.0))
    }
    fn shard(&self, local: &Local) -> Option<Vec<Laid>> {
        local.elementwise()
    }
}

impl Tensor {
    /// The same values in another element type; float to integer rounds toward zero. Spec: convert.
    #[track_caller]
    #[doc(alias = "astype")]
    pub fn convert(&self, dtype: DType) -> Tensor {
        if self.dtype() == dtype && !self.is_poison() {
            return self.clone();
        }
        self.graph().apply(Convert(dtype), &[self])
    }

    /// The same bits as another element type of the same width, without a derivative. Spec: bitcast_convert.
    #[track_caller]
    pub fn bitcast_convert(&self, dtype: DType) -> Tensor {
        if self.dtype() == dtype && !self.is_poison() {
            return self.stop_gradient();
        }
        self.graph().apply(BitcastConvert(dtype), &[self])
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    vec![
        Sample::new("convert", |x| vec![x[0].convert(DType::F32).convert(DType::F64)])
            .input(DType::F64, [3], -9.0, 9.0)
            .forward_only(),
        Sample::new("convert to integers", |x| vec![x[0].convert(DType::S8)])
            .input(DType::F64, [5], -9.0, 9.0)
            .forward_only(),
        Sample::new("bitcast_convert", |x| vec![x[0].bitcast_convert(DType::U32), x[0].bitcast_convert(DType::F32)])
            .input(DType::F32, [3], -1.0, 1.0)
            .forward_only(),
    ]
}
