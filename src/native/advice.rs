//! One line about a product that misses the unit it could have. Knows no compiler.

use spiq_hlo::DType;

use super::product::Product;

/// What to do about a product whose operands are computed inside of it.
pub(super) fn materialize() -> String {
    "an operand is computed inside the product, which then runs at the rate of bf16; let spikes reach it as s8 \
     (--numerics exact) or put an optimization_barrier before it"
        .to_owned()
}

/// What to do about floats of 8 bits that a chip does not multiply.
pub(super) fn other_float(product: &Product) -> String {
    match product.lhs.dtype {
        DType::F8E4M3FN => "this chip multiplies float8_e5m2 or int8, not float8_e4m3fn; name one of them in the rule",
        _ => "this chip has no unit for these floats; name int8 in the rule",
    }
    .to_owned()
}

/// What to do about a product in full precision.
pub(super) fn full_precision(product: &Product) -> String {
    match product.lhs.dtype.bits().max(product.rhs.dtype.bits()) {
        32.. => "in full precision; a rule with weight_qtype and act_qtype brings it to 8 bits, and --grad-dtype bf16 the gradient to 16",
        _ => "",
    }
    .to_owned()
}

/// What to do about a product that became a plain loop.
pub(super) fn plain_loop(product: &Product) -> String {
    match product.lhs.dtype == product.rhs.dtype {
        true => "a plain loop computes it; operands of s8 or a larger product reach a unit",
        false => "a plain loop computes it, since no unit takes two different types; give both sides one type",
    }
    .to_owned()
}
