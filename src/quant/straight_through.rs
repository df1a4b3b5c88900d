//! The gradient of a quantized product: as if nothing had been rounded, or in low precision. Knows no rules.

use spiq_hlo::{DType, Tensor, custom_vjp};

use super::backward::Backward;
use super::numerics::{Arithmetic, Gradients, Numerics};
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
    arithmetic: Arithmetic,
) -> Tensor {
    // The gradient passes by the rounding and its scales.
    let (lhs, rhs) = (lhs.held(), rhs.held());
    let rounded = arithmetic.numerics == Numerics::Qwix && matches!(product, Product::Conv(_));
    custom_vjp(
        "quantized_product",
        &(lhs.original.clone(), rhs.original.clone()),
        |(l, r)| product.forward(&lhs.read_from(l), &rhs.read_from(r), arithmetic.numerics),
        |(l, r), _, ct| {
            let (lhs, rhs) = (lhs.read_from(l), rhs.read_from(r));
            let read = |operand: &Operand| if rounded { operand.dequantized() } else { operand.unrounded() };
            // The side that a gradient is of only lends it its type.
            let narrow = |t: &Tensor| match arithmetic.gradients {
                Gradients::Bf16 if t.dtype().is_float() => t.convert(DType::BF16),
                Gradients::Full | Gradients::Bf16 => t.clone(),
            };
            let (dl, dr) = match backward {
                Some(backward) => backward.cotangents(product, [&lhs, &rhs], ct),
                None => (
                    product.cotangent(Side::Left, &narrow(ct), l, &narrow(&read(&rhs))),
                    product.cotangent(Side::Right, &narrow(ct), &narrow(&read(&lhs)), r),
                ),
            };
            if rounded { (dl, dr) } else { (lhs.masked(dl), rhs.masked(dr)) }
        },
    )
}
