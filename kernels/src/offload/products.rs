//! Finds dot products and convolutions with a factor of zeros and ones, which are sums of parts of the other factor, and replaces them by kernel calls.

use spiq_hlo::{Convolution, CustomCall, DType, DotGeneral, Function, GraphErrors, Mapped, Tensor, TensorType};

use super::convolutions::convolution;
use crate::contract::call::KernelCall;
use crate::contract::masked_product::MaskedProduct;

/// Replaces each product of a mask and a matrix, and each convolution of a mask, by one kernel call. Integer results are exact; floats are added in another order. Where
/// the mask is 0 the other factor is not read, so an infinity there has no effect.
///
/// A mask is a left operand that is known to contain only 0 and 1. Custom gradients are lowered to their forward functions.
///
/// # Errors
/// None for a function that was traced without errors.
pub fn call_masked_products(function: &Function) -> Result<Function, GraphErrors> {
    function.lower_to_loops()?.simplify().transform(&mut |node, operands| {
        let ([lhs, rhs], [ty]) = (operands, node.types.as_slice()) else { return None };
        let result = match (node.op.downcast::<DotGeneral>(), node.op.downcast::<Convolution>()) {
            (Some(dot), _) => product(dot, [lhs, rhs], ty),
            (_, Some(conv)) => convolution(conv, [lhs, rhs], ty),
            _ => None,
        };
        result.map(|result| vec![result])
    })
}

/// Whether kernels sum elements of this type in the other one.
pub(super) fn adds(from: DType, sum: DType) -> bool {
    matches!((from, sum), (DType::S8, DType::S32) | (DType::F32, DType::F32) | (DType::BF16, DType::F32))
}

/// The product as a call, if its left factor is a mask.
fn product(dot: &DotGeneral, [lhs, rhs]: [&Tensor; 2], ty: &TensorType) -> Option<Tensor> {
    if !adds(rhs.dtype(), ty.dtype) || !dot.dims.lhs_batch.is_empty() {
        return None;
    }
    let count = dot.dims.lhs_contract.len();
    let (leading, trailing) = (0..count, lhs.rank() - count..lhs.rank());
    let over_rows = match dot.dims.lhs_contract.as_slice() {
        axes if axes.iter().copied().eq(trailing) => false,
        axes if axes.iter().copied().eq(leading.clone()) => true,
        _ => return None,
    };
    if !dot.dims.rhs_contract.iter().copied().eq(leading) {
        return None;
    }
    let summed: usize = rhs.dims()[..count].iter().product();
    let kept = lhs.ty().count() / summed.max(1);
    let (rows, columns) = if over_rows { (summed, kept) } else { (kept, summed) };
    let product = MaskedProduct { rows, columns, width: ty.count() / kept.max(1), over_rows };
    if ty.count() == 0 || summed == 0 {
        return None;
    }
    let mask = in_bytes(lhs)?.reshape(&[rows, columns]);
    let matrix = rhs.reshape(&[summed, product.width]);
    let out = TensorType::new(ty.dtype, [product.kept(), product.width]);
    Some(call(KernelCall::Product(product), out, &mask, &matrix).reshape(&ty.dims))
}

pub(super) fn call(call: KernelCall, out: TensorType, mask: &Tensor, factor: &Tensor) -> Tensor {
    // Calls are recorded for one runtime, after all transforms that map functions.
    let map = |_: &CustomCall, _: &Mapped| None;
    let (target, config, outputs) = (call.target(), call.config(), vec![out]);
    let call = CustomCall { target, config, outputs, ranges: Vec::new(), map };
    call.on(mask.graph(), &[mask.clone(), factor.clone()]).swap_remove(0)
}

/// A tensor that is known to contain only 0 and 1, as bytes.
pub(super) fn in_bytes(tensor: &Tensor) -> Option<Tensor> {
    let is_bytes = matches!(tensor.dtype(), DType::Pred | DType::S8);
    tensor.is_boolean().then(|| if is_bytes { tensor.clone() } else { tensor.convert(DType::S8) })
}
