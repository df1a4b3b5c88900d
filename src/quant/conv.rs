//! Convolutions of stored values, with the scales on the output. Knows no rules.

use spiq_hlo::{Convolution, DType, Tensor};

use super::product::accumulator;
use super::qtensor::QTensor;

/// Products of the stored values; zero points and scales are settled on their sums.
///
/// What pads the input is zero before scaling, so it is left out of the zero points' share as well.
pub(super) fn scaled_output(lhs: &QTensor, rhs: &QTensor, conv: &Convolution) -> Tensor {
    let op = Convolution { out: accumulator(lhs, rhs), ..conv.clone() };
    let (left, right) = of_one_type(&lhs.values, &rhs.values);
    let mut sum = left.convolution(&right, &op);
    // At most one side is shifted; transform refuses rules that shift both.
    if let Some(zero) = &lhs.zero_point {
        sum = sum - zero.broadcast_to(lhs.values.dims()).convolution(&rhs.values, &op);
    }
    if let Some(zero) = &rhs.zero_point {
        sum = sum - lhs.values.convolution(&zero.broadcast_to(rhs.values.dims()), &op);
    }
    let along = |scale: &Tensor, axis: usize| {
        let mut dims = vec![1; sum.rank()];
        dims[axis] = scale.dims().iter().product();
        scale.reshape(&dims)
    };
    let left = along(&lhs.scale, conv.dims.output.outer);
    let right = along(&rhs.scale, conv.dims.output.feature);
    (sum.convert(lhs.scale.dtype()) * left * right).convert(conv.out)
}

/// Operands as a convolution takes them, of one element type: the two floats of 8 bits meet in bf16, which has all values of
/// both.
pub(super) fn of_one_type(lhs: &Tensor, rhs: &Tensor) -> (Tensor, Tensor) {
    match lhs.dtype() == rhs.dtype() {
        true => (lhs.clone(), rhs.clone()),
        false => (lhs.convert(DType::BF16), rhs.convert(DType::BF16)),
    }
}
