//! The dot products and convolutions of a program as it is written. Knows nothing of compilers.

use std::sync::Arc;

use spiq_hlo::{Convolution, DotGeneral, Function, Op, TensorType};
use spiq_kernels::KernelCall;

/// One dot product or convolution.
#[derive(Clone, Debug)]
pub(super) struct Product {
    /// Module path and number, unique in the program: what the compiler's operations are named after.
    pub(super) label: String,
    pub(super) op: &'static str,
    pub(super) lhs: TensorType,
    pub(super) rhs: TensorType,
    pub(super) out: TensorType,
    /// The operation with its attributes.
    pub(super) written: Arc<dyn Op>,
}

impl Product {
    /// The module path alone.
    pub(super) fn path(&self) -> &str {
        self.label.split_once('#').map_or(&self.label, |(path, _)| path)
    }

    /// `s8[128,64] x s8[64,10] -> s32`.
    pub(super) fn spelling(&self) -> String {
        format!("{} x {} -> {}", self.lhs, self.rhs, self.out.dtype)
    }

    /// Whether a kernel of this library computes it, without multiplying.
    pub(super) fn is_sum_of_rows(&self) -> bool {
        is_masked(self.written.as_ref())
    }

    /// Whether both sides are of a type with a unit of its own: 8 bits or fewer.
    pub(super) fn is_low_precision(&self) -> bool {
        self.lhs.dtype.bits() <= 8 && self.rhs.dtype.bits() <= 8
    }
}

/// Whether an operation calls the kernel of masked products.
fn is_masked(op: &dyn Op) -> bool {
    matches!(KernelCall::of(op), Some(KernelCall::Product(_)))
}

/// The products of a lowered and numbered function, in its order.
pub(super) fn written(function: &Function) -> Vec<Product> {
    let mut products = Vec::new();
    function.each_node(&mut |node, operands| {
        let op = node.op.as_ref();
        let name = match op {
            op if is_masked(op) => "dot_general",
            op if op.downcast::<DotGeneral>().is_some() || op.downcast::<Convolution>().is_some() => op.name(),
            _ => return,
        };
        products.push(Product {
            label: node.scope.to_string(),
            op: name,
            lhs: operands[0].clone(),
            rhs: operands[1].clone(),
            out: node.types[0].clone(),
            written: node.op.clone(),
        });
    });
    products
}
