//! A common interface to the operations that rules can select, dot products and convolutions: two sides, scales along the axes that reach
//! the result, and a cotangent per side.

use spiq_hlo::{Convolution, DType, DotGeneral, Op, Tensor};

use super::numerics::Numerics;
use super::operand::Operand;
use super::sums::sums_stored_values;
use super::{conv, dot};

/// An operation that multiplies two operands and sums.
#[derive(Clone, Debug)]
pub(crate) enum Product {
    Dot(DotGeneral),
    Conv(Convolution),
}

/// One of its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Product {
    /// The names that rules use for them (JAX's).
    pub(crate) const NAMES: [&'static str; 3] = ["dot_general", "conv_general_dilated", "einsum"];

    /// The operation as a product, if it is one.
    pub(crate) fn of(op: &dyn Op) -> Option<Product> {
        let dot = op.downcast::<DotGeneral>().map(|dot| Product::Dot(dot.clone()));
        dot.or_else(|| op.downcast::<Convolution>().map(|conv| Product::Conv(conv.clone())))
    }

    /// The name that rules use for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Product::Dot(dot) => dot.call,
            Product::Conv(_) => "conv_general_dilated",
        }
    }

    /// The axes of a side, of this rank, that can have a scale per index: those that are not summed over. For a convolution, these are the
    /// batch axis of the left side and the output features of the right.
    pub(crate) fn channels(&self, side: Side, rank: usize) -> Vec<usize> {
        match (self, side) {
            (Product::Dot(dot), Side::Left) => free(rank, &dot.dims.lhs_contract),
            (Product::Dot(dot), Side::Right) => free(rank, &dot.dims.rhs_contract),
            (Product::Conv(conv), Side::Left) => vec![conv.dims.input.outer],
            (Product::Conv(conv), Side::Right) => vec![conv.dims.kernel.outer],
        }
    }

    /// The axis of a side that is cut into tiles: the last contracted one. A convolution has none.
    pub(crate) fn tiled_axis(&self, side: Side) -> Option<usize> {
        match (self, side) {
            (Product::Dot(dot), Side::Left) => dot.dims.lhs_contract.last().copied(),
            (Product::Dot(dot), Side::Right) => dot.dims.rhs_contract.last().copied(),
            (Product::Conv(_), _) => None,
        }
    }

    /// Element type of the result.
    pub(crate) fn out(&self) -> DType {
        match self {
            Product::Dot(dot) => dot.out,
            Product::Conv(conv) => conv.out,
        }
    }

    /// The plain operation, accumulating in `out`.
    #[track_caller]
    pub(crate) fn apply(&self, lhs: &Tensor, rhs: &Tensor, out: DType) -> Tensor {
        match self {
            Product::Dot(dot) => lhs.dot_general(rhs, &dot.dims, out),
            Product::Conv(conv) => lhs.convolution(rhs, &Convolution { out, ..conv.clone() }),
        }
    }

    /// The cotangent of a side, given the result's cotangent and both operands. Zero for booleans.
    pub(crate) fn cotangent(&self, side: Side, ct: &Tensor, lhs: &Tensor, rhs: &Tensor) -> Tensor {
        let of = if side == Side::Left { lhs } else { rhs };
        if !of.dtype().is_float() {
            return of.zeros_like();
        }
        // Convolutions require operands of one type.
        let number = |t: &Tensor| if t.dtype().is_float() { t.clone() } else { t.convert(ct.dtype()) };
        match (self, side) {
            (Product::Dot(dot), Side::Left) => dot.dims.lhs_cotangent(ct, lhs, rhs),
            (Product::Dot(dot), Side::Right) => dot.dims.rhs_cotangent(ct, lhs, rhs),
            (Product::Conv(conv), Side::Left) => conv.input_cotangent(ct, lhs, &number(rhs), lhs.dtype()),
            (Product::Conv(conv), Side::Right) => conv.kernel_cotangent(ct, &number(lhs), rhs, rhs.dtype()),
        }
    }

    /// The product in low precision, without a custom gradient: on stored values with scales applied to the output if possible, else on
    /// dequantized values.
    #[track_caller]
    pub(crate) fn forward(&self, lhs: &Operand, rhs: &Operand, numerics: Numerics) -> Tensor {
        match (lhs.q(), rhs.q()) {
            (Some(l), Some(r)) if sums_stored_values(l, r) => match self {
                Product::Dot(dot) => dot::scaled_output(l, r, dot, numerics),
                Product::Conv(conv) => conv::scaled_output(l, r, conv, numerics),
            },
            _ => self.apply(&lhs.dequantized(), &rhs.dequantized(), self.out()),
        }
    }
}

fn free(rank: usize, contract: &[usize]) -> Vec<usize> {
    (0..rank).filter(|axis| !contract.contains(axis)).collect()
}
