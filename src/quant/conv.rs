//! Convolutions of stored values, with scales applied to the output.

use std::ops::Range;

use spiq_hlo::{Convolution, DType, Tensor};

use super::numerics::Numerics;
use super::qtensor::QTensor;
use super::sums::{accumulator, in_parts, most};

/// Convolves the stored values; zero points and scales are applied to the sums.
///
/// Padding is zero before scaling, so the zero-point correction excludes it as well.
pub(super) fn scaled_output(lhs: &QTensor, rhs: &QTensor, conv: &Convolution, numerics: Numerics) -> Tensor {
    let op = Convolution { out: accumulator(lhs, rhs), ..conv.clone() };
    let (stored_left, stored_right) = (lhs.stored(), rhs.stored());
    let (left, right) = of_one_type(&stored_left, &stored_right);
    let most = most(lhs, rhs, numerics);
    let product = |l: &Tensor, r: &Tensor| summed(l, r, &op, most);
    let mut sum = product(&left, &right);
    // At most one side is asymmetric; the transform refuses rules with two.
    if let Some(zero) = &lhs.zero_point {
        sum = sum - product(&zero.broadcast_to(left.dims()), &stored_right);
    }
    if let Some(zero) = &rhs.zero_point {
        sum = sum - product(&stored_left, &zero.broadcast_to(right.dims()));
    }
    if sum.is_poison() {
        return sum;
    }
    let left = along(&lhs.scale, conv.dims.output.outer, sum.rank());
    let right = along(&rhs.scale, conv.dims.output.feature, sum.rank());
    (sum.convert(lhs.scale.dtype()) * left * right).convert(conv.out)
}

/// The sums of products; split along the input features if there are more than `most`.
fn summed(x: &Tensor, kernel: &Tensor, op: &Convolution, most: Option<usize>) -> Tensor {
    let (input, axes) = (op.dims.input.feature, &op.dims.kernel);
    let features = kernel.dims()[axes.feature];
    let count = features * axes.window.iter().map(|&axis| kernel.dims()[axis]).product::<usize>();
    // Features of different groups are not summed, so there is no axis to split.
    let size = if op.groups == 1 { features } else { 1 };
    in_parts(x, most, count, size, |part| match part.len() == size {
        true => x.convolution(kernel, op),
        false => part_of(x, input, &part).convolution(&part_of(kernel, axes.feature, &part), op),
    })
}

/// Scales, one per index of an axis or a single one, broadcastable to a tensor of this rank.
pub(super) fn along(scale: &Tensor, axis: usize, rank: usize) -> Tensor {
    let mut dims = vec![1; rank];
    dims[axis] = scale.dims().iter().product();
    scale.reshape(&dims)
}

/// A slice of an axis.
pub(super) fn part_of(tensor: &Tensor, axis: usize, part: &Range<usize>) -> Tensor {
    tensor.slice_axis(axis as isize, part.start, part.end)
}

/// Operands converted to one element type, as convolutions require: the two 8-bit floats are converted to bf16, which represents all values
/// of both.
pub(super) fn of_one_type(lhs: &Tensor, rhs: &Tensor) -> (Tensor, Tensor) {
    match lhs.dtype() == rhs.dtype() {
        true => (lhs.clone(), rhs.clone()),
        false => (lhs.convert(DType::BF16), rhs.convert(DType::BF16)),
    }
}
