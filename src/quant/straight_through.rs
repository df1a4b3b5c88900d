//! The gradient of a quantized product: as if nothing had been rounded, or in low precision. Knows no rules.

use spiq_hlo::{Tensor, custom_vjp};

use super::backward::Backward;
use super::numerics::Numerics;
use super::operand::Operand;
use super::product::{Product, Side};

/// A product in low precision whose gradients pass straight through: those of the product of the original operands (qwix's
/// QAT with `bwd_qtype` unset), cut where an operand lay outside the represented range.
///
/// qwix differentiates a convolution at its rounded operands instead, and cuts nothing; [`Numerics::Qwix`] does so too.
///
/// With `backward`, the gradients are those that it makes, cut likewise.
#[track_caller]
pub(crate) fn straight_through(
    product: &Product,
    lhs: &Operand,
    rhs: &Operand,
    backward: Option<&Backward>,
    numerics: Numerics,
) -> Tensor {
    let rounded = numerics == Numerics::Qwix && matches!(product, Product::Conv(_));
    custom_vjp(
        "quantized_product",
        &(lhs.original.clone(), rhs.original.clone()),
        |(l, r)| product.forward(&lhs.read_from(l), &rhs.read_from(r)),
        |(l, r), _, ct| {
            let (lhs, rhs) = (lhs.read_from(l), rhs.read_from(r));
            let (dl, dr) = match backward {
                Some(backward) => backward.cotangents(product, [&lhs, &rhs], ct),
                None => {
                    let (l, r) = if rounded { (lhs.dequantized(), rhs.dequantized()) } else { (l.clone(), r.clone()) };
                    (product.cotangent(Side::Left, ct, &l, &r), product.cotangent(Side::Right, ct, &l, &r))
                }
            };
            if rounded { (dl, dr) } else { (lhs.masked(dl), rhs.masked(dr)) }
        },
    )
}
