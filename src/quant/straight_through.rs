//! The gradient of a quantized product: straight-through, or in low precision.

use spiq_hlo::{DType, Tensor, custom_vjp};

use super::backward::Backward;
use super::numerics::{Arithmetic, Gradients, Numerics};
use super::operand::Operand;
use super::product::{Product, Side};

/// A product in low precision with straight-through gradients: those of the product of the original operands (qwix's QAT with `bwd_qtype`
/// unset), masked where an operand was outside the represented range.
///
/// qwix instead differentiates convolutions at their rounded operands, without masking; so does [`Numerics::Qwix`].
///
/// With `backward`, it computes the gradients instead, masked in the same way.
#[track_caller]
pub(crate) fn straight_through(
    product: &Product,
    lhs: &Operand,
    rhs: &Operand,
    backward: Option<&Backward>,
    arithmetic: Arithmetic,
) -> Tensor {
    // The gradient bypasses the rounding and its scales.
    let (lhs, rhs) = (lhs.held(), rhs.held());
    let rounded = arithmetic.numerics == Numerics::Qwix && matches!(product, Product::Conv(_));
    custom_vjp(
        "quantized_product",
        &(lhs.original.clone(), rhs.original.clone()),
        |(l, r)| product.forward(&lhs.read_from(l), &rhs.read_from(r), arithmetic.numerics),
        |(l, r), _, ct| {
            let (lhs, rhs) = (lhs.read_from(l), rhs.read_from(r));
            let read = |operand: &Operand| if rounded { operand.dequantized() } else { operand.unrounded() };
            // The operand on the gradient's own side only provides its type.
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
