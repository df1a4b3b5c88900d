//! One-line advice for products that miss the best hardware unit.

use spiq_hlo::DType;

use super::product::Product;

/// Advice for a product whose operands are computed inside it.
pub(super) fn materialize() -> String {
    "an operand is computed inside the product, which then runs at the bf16 rate; pass spikes as s8 \
     (--numerics exact) or put an optimization_barrier before the product"
        .to_owned()
}

/// Advice for 8-bit floats that a chip cannot multiply.
pub(super) fn other_float(product: &Product) -> String {
    match product.lhs.dtype {
        DType::F8E4M3FN => "this chip multiplies float8_e5m2 or int8, not float8_e4m3fn; use one of them in the rule",
        _ => "this chip has no unit for these floats; use int8 in the rule",
    }
    .to_owned()
}

/// Advice for a product in full precision.
pub(super) fn full_precision(product: &Product) -> String {
    match product.lhs.dtype.bits().max(product.rhs.dtype.bits()) {
        32.. => "in full precision; a rule with weight_qtype and act_qtype reduces it to 8 bits, and --grad-dtype bf16 reduces the gradient to 16",
        _ => "",
    }
    .to_owned()
}

/// Advice for a product compiled to a plain loop.
pub(super) fn plain_loop(product: &Product) -> String {
    match product.lhs.dtype == product.rhs.dtype {
        true => "computed by a plain loop; s8 operands or a larger product would use a hardware unit",
        false => "computed by a plain loop, since no unit takes two different types; give both operands the same type",
    }
    .to_owned()
}
