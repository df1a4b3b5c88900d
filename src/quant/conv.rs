//! Convolutions of stored values, with the scales on the output. Knows no rules.

use std::ops::Range;

use spiq_hlo::{Convolution, DType, Tensor};

use super::numerics::Numerics;
use super::qtensor::QTensor;
use super::sums::{accumulator, in_parts, most};

/// Products of the stored values; zero points and scales are settled on their sums.
///
/// What pads the input is zero before scaling, so it is left out of the zero points' share as well.
pub(super) fn scaled_output(lhs: &QTensor, rhs: &QTensor, conv: &Convolution, numerics: Numerics) -> Tensor {
    let op = Convolution { out: accumulator(lhs, rhs), ..conv.clone() };
    let (stored_left, stored_right) = (lhs.stored(), rhs.stored());
    let (left, right) = of_one_type(&stored_left, &stored_right);
    let most = most(lhs, rhs, numerics);
    let product = |l: &Tensor, r: &Tensor| summed(l, r, &op, most);
    let mut sum = product(&left, &right);
    // At most one side is shifted; transform refuses rules that shift both.
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

/// The products, summed; in parts of the input's features where there are more than `most`.
fn summed(x: &Tensor, kernel: &Tensor, op: &Convolution, most: Option<usize>) -> Tensor {
    let (input, axes) = (op.dims.input.feature, &op.dims.kernel);
    let features = kernel.dims()[axes.feature];
    let count = features * axes.window.iter().map(|&axis| kernel.dims()[axis]).product::<usize>();
    // Features of different groups are not summed: there, no axis can be cut.
    let size = if op.groups == 1 { features } else { 1 };
    in_parts(x, most, count, size, |part| match part.len() == size {
        true => x.convolution(kernel, op),
        false => part_of(x, input, &part).convolution(&part_of(kernel, axes.feature, &part), op),
    })
}

/// Scales, one for each index of an axis or one for all, as they meet a tensor of this rank.
pub(super) fn along(scale: &Tensor, axis: usize, rank: usize) -> Tensor {
    let mut dims = vec![1; rank];
    dims[axis] = scale.dims().iter().product();
    scale.reshape(&dims)
}

/// These indices of an axis.
pub(super) fn part_of(tensor: &Tensor, axis: usize, part: &Range<usize>) -> Tensor {
    tensor.slice_axis(axis as isize, part.start, part.end)
}

/// Operands as a convolution takes them, of one element type: the two floats of 8 bits meet in bf16, which has all values of
/// both.
pub(super) fn of_one_type(lhs: &Tensor, rhs: &Tensor) -> (Tensor, Tensor) {
    match lhs.dtype() == rhs.dtype() {
        true => (lhs.clone(), rhs.clone()),
        false => (lhs.convert(DType::BF16), rhs.convert(DType::BF16)),
    }
}
