//! Result types where the operands' own type may not represent the result: JAX's promotion, or an error with the source line.
//!
//! | operation | elements | result | JAX |
//! |---|---|---|---|
//! | number with a tensor | floats | the tensor's type; the number is rounded | the same |
//! | number with a tensor | integers, booleans that can represent the number | the tensor's type | the same for a Python `int`; f32 for a `float` |
//! | number with a tensor | integers, booleans; the number is a fraction, NaN or out of range | error | f32, or an error for an `int` |
//! | `+`, `-`, `*` with a number | integers below 32 bits, or unsigned for `-`; the result may overflow | error | wraps for an `int`, f32 for a `float` |
//! | sums and products over axes, sums of windows | integers below 32 bits, booleans | s32, or u32 for unsigned | the same |
//! | means | integers, booleans | f32 | the same |
//! | `dot`, `einsum` | integers below 32 bits | error: specify a type with `dot_general` | wraps |
//! | `dot`, `einsum` | booleans with numbers; `s8` with floats of 16 bits or more | the type of the numbers or floats | the same |
//! | `iota` | integers that cannot represent the last index | error | wraps |
//! | two tensors | different types | error | promotes |
//! | `/`, `%` | integers | the tensors' type, rounded toward zero (as Rust's `/`) | `lax.div`, `lax.rem` the same; `jnp`'s `/` gives f32 |
//! | other arithmetic | integers | the tensors' type, wrapping | the same |
//! | `convert` | any | the given type; the backend defines the result for values out of range | the same |
//! | quantized products (`spiq::quant`) | integers whose sums may overflow s32 | summed in parts, or an error; as in qwix with qwix numerics | qwix wraps |

use crate::graph::error::Violation;
use crate::graph::range::Range;
use crate::graph::tensor::Tensor;
use crate::ops::constant::Constant;
use crate::types::dtype::{DType, Kind};
use crate::types::tensor_type::TensorType;

/// The accumulator type of sums and products over axes. JAX: `jnp.sum`.
pub(crate) fn summed(dtype: DType) -> DType {
    match dtype.kind() {
        Kind::Pred => DType::S32,
        Kind::Signed if dtype.bits() < 32 => DType::S32,
        Kind::Unsigned if dtype.bits() < 32 => DType::U32,
        _ => dtype,
    }
}

/// The type of a mean. JAX: `jnp.mean`.
pub(crate) fn averaged(dtype: DType) -> DType {
    if dtype.is_float() { dtype } else { DType::F32 }
}

/// Whether a tensor's element type can represent a number used with it.
pub(crate) fn holds(dtype: DType, number: f64) -> Result<(), Violation> {
    let Some((low, high)) = dtype.integer_range() else { return Ok(()) };
    if number.fract() == 0.0 && low as f64 <= number && number <= high as f64 {
        return Ok(());
    }
    let message = format!(
        "{number} is not representable in {dtype}; convert the tensor first, for example with convert(DType::F32)"
    );
    Err(Violation::new("", message))
}

/// Whether an operand of a product is promoted to the other one's type, which represents all its values: booleans with numbers, `s8`
/// with floats.
pub(crate) fn gives_way(dtype: DType, other: DType) -> bool {
    match dtype {
        DType::Pred => other != DType::Pred,
        DType::S8 => other.is_float() && other.bits() > 8,
        _ => false,
    }
}

/// The accumulator type of a product: that of the left operand, or of the right one if the left is promoted.
pub(crate) fn multiplied(lhs: DType, rhs: DType) -> DType {
    if gives_way(lhs, rhs) { rhs } else { lhs }
}

/// Whether products of these types may be accumulated in type `out`.
pub(crate) fn holds_products(lhs: &TensorType, rhs: &TensorType, out: DType) -> Result<(), Violation> {
    let narrow = out.is_integer() && out.bits() < 32;
    if !narrow {
        return Ok(());
    }
    let message = format!(
        "sums of products of {lhs} and {rhs} may overflow {out}; specify the type of the sums, as in dot_general(…, DType::S32)"
    );
    Err(Violation::new("", message))
}

/// Whether a type can represent the result of arithmetic with a number, whose unwrapped range is `range`.
pub(crate) fn stays(operation: &str, operands: [&Tensor; 2], range: Option<Range>) -> Result<(), Violation> {
    let dtype = operands[0].dtype();
    let wraps_easily = dtype.bits() < 32 || dtype.kind() == Kind::Unsigned && operation == "subtract";
    let checked = dtype.is_integer() && wraps_easily && operands.iter().any(|t| is_number(t));
    match range {
        Some(range) if checked && !range.is_exact_in(dtype) => {
            let message = format!(
                "{} may range from {} to {} here, which overflows {dtype}; convert the tensor first, for example with \
                 convert(DType::S32)",
                operands[0].ty(),
                range.low,
                range.high
            );
            Err(Violation::new("", message))
        }
        _ => Ok(()),
    }
}

/// Whether all elements are the same constant.
fn is_number(tensor: &Tensor) -> bool {
    let node = tensor.graph().node(tensor.value().node);
    node.op.downcast::<Constant>().is_some_and(|constant| constant.value.dims().is_empty())
}
