//! Products in bf16, forward and backward: reduced precision without rules or scales.

use std::fmt;

use spiq_hlo::{DType, Function, Node, Tensor, custom_vjp};

use super::product::{Product, Side};
use crate::error::{Error, Result};

/// The element type of the products that no rule quantizes, forward and backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// That of the parameters, f32.
    #[default]
    F32,
    /// Operands in bf16, sums in f32: [`products_in_bf16`]. Parameters, neurons and the optimizer stay in f32.
    Bf16,
}

impl Precision {
    /// The precision of this name, `f32` or `bf16`.
    pub fn from_name(name: &str) -> Option<Precision> {
        [Precision::F32, Precision::Bf16].into_iter().find(|precision| precision.to_string() == name)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

/// Rounds the operands of each product of f32 tensors to bf16, in the forward and backward pass; sums and everything else stay in f32. JAX:
/// `preferred_element_type = float32` with bf16 operands.
///
/// # Errors
/// None for a function that was traced without errors.
///
/// ```
/// use spiq::{DType, TensorType, quant::products_in_bf16, trace};
/// let inputs = [("x", TensorType::new(DType::F32, [8, 4])), ("w", TensorType::new(DType::F32, [4, 2]))];
/// let narrow = products_in_bf16(&trace(&inputs, |x| vec![x[0].dot(&x[1])])?)?;
/// assert!(spiq::Program::named("product").text(&narrow)?.contains("(tensor<8x4xbf16>, tensor<4x2xbf16>) -> tensor<8x2xf32>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn products_in_bf16(function: &Function) -> Result<Function> {
    function.transform(&mut |node, operands| replaced(node, operands)).map_err(Error::from)
}

fn replaced(node: &Node, operands: &[Tensor]) -> Option<Vec<Tensor>> {
    let product = Product::of(&*node.op)?;
    let full = |t: &Tensor| !t.is_poison() && matches!(t.dtype(), DType::F32 | DType::Pred);
    (operands.iter().all(full) && operands.iter().any(|t| t.dtype() == DType::F32) && product.out() == DType::F32)
        .then(|| vec![narrowed(&product, &operands[0], &operands[1])])
}

#[track_caller]
fn narrowed(product: &Product, lhs: &Tensor, rhs: &Tensor) -> Tensor {
    let narrow = |t: &Tensor| if t.dtype() == DType::Pred { t.clone() } else { t.convert(DType::BF16) };
    custom_vjp(
        "bf16_product",
        &(lhs.clone(), rhs.clone()),
        |(l, r)| product.apply(&narrow(l), &narrow(r), DType::F32),
        |(l, r), _, ct| {
            let ct = narrow(ct);
            // The operand on the gradient's own side only provides its type.
            let left = product.cotangent(Side::Left, &ct, l, &narrow(r));
            let right = product.cotangent(Side::Right, &ct, &narrow(l), r);
            (left, right)
        },
    )
}
