//! The gradient of a quantized product, as if nothing had been rounded. Knows no rules.

use spiq_hlo::{Tensor, custom_vjp};

use super::numerics::Numerics;
use super::operand::Operand;
use super::product::{Product, Side};

/// A product in low precision whose gradients pass straight through: those of the product of the original operands (qwix's
/// QAT with `bwd_qtype` unset), cut where an operand lay outside the represented range.
///
/// qwix differentiates a convolution at its rounded operands instead, and cuts nothing; [`Numerics::Qwix`] does so too.
#[track_caller]
pub(crate) fn straight_through(product: &Product, lhs: &Operand, rhs: &Operand, numerics: Numerics) -> Tensor {
    let rounded = numerics == Numerics::Qwix && matches!(product, Product::Conv(_));
    custom_vjp(
        "quantized_product",
        &(lhs.original.clone(), rhs.original.clone()),
        |(l, r)| product.forward(&lhs.read_from(l), &rhs.read_from(r)),
        |(l, r), _, ct| {
            let (lhs, rhs) = (lhs.read_from(l), rhs.read_from(r));
            let gradient = |side, l: &Tensor, r: &Tensor| product.cotangent(side, ct, l, r);
            if rounded {
                let (l, r) = (lhs.dequantized(), rhs.dequantized());
                return (gradient(Side::Left, &l, &r), gradient(Side::Right, &l, &r));
            }
            (lhs.masked(gradient(Side::Left, l, r)), rhs.masked(gradient(Side::Right, l, r)))
        },
    )
}
