//! Finds the products in which one factor is 0 or 1, sums of rows of the other, and turns them into calls of one kernel. The one
//! file that knows dot products and such calls.

use spiq_hlo::{CustomCall, DType, DotGeneral, Function, GraphErrors, Mapped, Node, Range, Tensor, TensorType};

use crate::contract::call::KernelCall;
use crate::contract::masked_product::MaskedProduct;

/// The same function with each product of a mask with a matrix in one call of a kernel: integers exactly as the product, floats
/// added in another order. Where the mask is 0, the matrix is not read: an infinity there stays without effect.
///
/// A mask is what is proven to be 0 or 1, on the left side. Custom gradients become their forward functions.
///
/// # Errors
/// None for a function that was traced without errors.
pub fn call_masked_products(function: &Function) -> Result<Function, GraphErrors> {
    function.lower_to_loops()?.simplify().transform(&mut |node, operands| {
        let dot = node.op.downcast::<DotGeneral>()?;
        product(dot, node, operands).map(|result| vec![result])
    })
}

/// The product as a call, if one factor is a mask.
fn product(dot: &DotGeneral, node: &Node, operands: &[Tensor]) -> Option<Tensor> {
    let ([lhs, rhs], [ty]) = (operands, node.types.as_slice()) else { return None };
    let adds = matches!(
        (rhs.dtype(), ty.dtype),
        (DType::S8, DType::S32) | (DType::F32, DType::F32) | (DType::BF16, DType::F32)
    );
    if !adds || !is_mask(lhs) || !dot.dims.lhs_batch.is_empty() {
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
    (ty.count() > 0 && summed > 0).then(|| {
        let mask = as_bytes(lhs).reshape(&[rows, columns]);
        let matrix = rhs.reshape(&[summed, product.width]);
        call(product, ty.dtype, &mask, &matrix).reshape(&ty.dims)
    })
}

fn call(product: MaskedProduct, out: DType, mask: &Tensor, matrix: &Tensor) -> Tensor {
    let call = KernelCall::Product(product);
    let outputs = vec![TensorType::new(out, [product.kept(), product.width])];
    // Calls are recorded for one runtime, after everything that maps functions.
    let map = |_: &CustomCall, _: &Mapped| None;
    let call = CustomCall { target: call.target(), config: call.config(), outputs, ranges: Vec::new(), map };
    call.on(mask.graph(), &[mask.clone(), matrix.clone()]).swap_remove(0)
}

fn is_mask(tensor: &Tensor) -> bool {
    tensor.range().is_some_and(|range| range.is_within(Range { low: 0, high: 1 }))
}

/// The same mask in bytes: as it was before it became anything else, if it was such.
fn as_bytes(mask: &Tensor) -> Tensor {
    let is_bytes = |tensor: &Tensor| matches!(tensor.dtype(), DType::S8 | DType::Pred) && is_mask(tensor);
    let mut source = mask.clone();
    let mut found = is_bytes(mask).then(|| mask.clone());
    while let Some(before) = unchanged_from(&source) {
        if is_bytes(&before) {
            found = Some(before.clone());
        }
        source = before;
    }
    found.unwrap_or_else(|| mask.convert(DType::S8))
}

/// The value that an operation passes on in another type or shape, with elements in the same order.
fn unchanged_from(tensor: &Tensor) -> Option<Tensor> {
    let origin = tensor.origin();
    let operand = match origin.op.name() {
        "convert" | "reshape" => 0,
        "optimization_barrier" => origin.output,
        _ => return None,
    };
    Some(origin.operands[operand].clone())
}
