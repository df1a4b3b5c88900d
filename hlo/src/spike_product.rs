//! Finds the products with spikes and turns them into calls of one kernel: where one factor is 0 or 1, a product is a sum of
//! rows of the other. The one file that knows dot products and such calls.

use crate::graph::error::GraphErrors;
use crate::graph::function::{Function, Node};
use crate::graph::op::Op;
use crate::graph::tensor::Tensor;
use crate::ops::custom_call::CustomCall;
use crate::ops::dot_general::DotGeneral;
use crate::types::dtype::DType;
use crate::types::tensor_type::TensorType;

/// The name of the code that a runtime registers for products with spikes. Its configuration `program` is an encoded
/// [`SpikeProduct`]; its operands are spikes `[rows, columns]` as bytes, where every byte but 0 is a spike, and a matrix.
pub const SPIKE_PRODUCT: &str = "spiq_spike_product";

/// The sizes of a product with spikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpikeProduct {
    /// Rows of the spikes.
    pub rows: usize,
    /// Columns of the spikes.
    pub columns: usize,
    /// Columns of the matrix, and of the result.
    pub width: usize,
    /// Which of the spikes' axes is summed over: their rows, where the matrix has a row for each row of theirs and the result one
    /// for each column (the gradient of weights), or their columns, where it is the other way round.
    pub over_rows: bool,
}

/// Changes with the meaning of the encoding, so that compiled programs that hold an older one are not found again.
const VERSION: i64 = 1;

impl SpikeProduct {
    /// The sizes as whole numbers, which [`decode`](SpikeProduct::decode) reads.
    pub fn encode(&self) -> Vec<i64> {
        let sizes = [self.rows, self.columns, self.width].map(|n| n as i64);
        [vec![VERSION], sizes.to_vec(), vec![i64::from(self.over_rows)]].concat()
    }

    /// The sizes that were encoded; `None` for anything else.
    pub fn decode(words: &[i64]) -> Option<SpikeProduct> {
        let &[VERSION, rows, columns, width, over_rows] = words else { return None };
        let size = |word: i64| usize::try_from(word).ok();
        let over_rows = [false, true].into_iter().find(|b| i64::from(*b) == over_rows)?;
        Some(SpikeProduct { rows: size(rows)?, columns: size(columns)?, width: size(width)?, over_rows })
    }

    /// The sizes of the product that an operation calls for, if it is such a call.
    pub fn called_by(op: &dyn Op) -> Option<SpikeProduct> {
        let call = op.downcast::<CustomCall>().filter(|call| call.target == SPIKE_PRODUCT)?;
        SpikeProduct::decode(&call.config.first()?.1)
    }

    /// Rows of the matrix.
    pub fn summed(&self) -> usize {
        if self.over_rows { self.rows } else { self.columns }
    }

    /// Rows of the result.
    pub fn kept(&self) -> usize {
        if self.over_rows { self.columns } else { self.rows }
    }
}

impl Function {
    /// The same function with each product of spikes with a matrix in one call of [`SPIKE_PRODUCT`]: integers exactly as the
    /// product, floats added in another order. Where a spike is 0, the matrix is not read: an infinity there stays without
    /// effect.
    ///
    /// Spikes are what is known to be 0 or 1, on the left side. Custom gradients become their forward functions.
    ///
    /// # Errors
    /// None for a function that was traced without errors.
    pub fn call_spike_products(&self) -> Result<Function, GraphErrors> {
        self.lower_to_loops()?.simplify().transform(&mut |node, operands| {
            let dot = node.op.downcast::<DotGeneral>()?;
            product(dot, node, operands).map(|result| vec![result])
        })
    }
}

/// The product as a call, if it is one with spikes.
fn product(dot: &DotGeneral, node: &Node, operands: &[Tensor]) -> Option<Tensor> {
    let ([lhs, rhs], [ty]) = (operands, node.types.as_slice()) else { return None };
    let adds = matches!(
        (rhs.dtype(), ty.dtype),
        (DType::S8, DType::S32) | (DType::F32, DType::F32) | (DType::BF16, DType::F32)
    );
    if !adds || !dot.dims.lhs_batch.is_empty() {
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
    let product = SpikeProduct { rows, columns, width: ty.count() / kept.max(1), over_rows };
    if ty.count() == 0 || summed == 0 {
        return None;
    }
    let spikes = in_bytes(lhs)?.reshape(&[rows, columns]);
    let matrix = rhs.reshape(&[summed, product.width]);
    Some(call(&product, ty.dtype, &spikes, &matrix).reshape(&ty.dims))
}

/// What is known to be 0 or 1, in bytes.
fn in_bytes(tensor: &Tensor) -> Option<Tensor> {
    let is_bytes = matches!(tensor.dtype(), DType::Pred | DType::S8);
    tensor.is_boolean().then(|| if is_bytes { tensor.clone() } else { tensor.convert(DType::S8) })
}

fn call(product: &SpikeProduct, out: DType, spikes: &Tensor, matrix: &Tensor) -> Tensor {
    let config = vec![("program", product.encode())];
    let outputs = vec![TensorType::new(out, [product.kept(), product.width])];
    // Calls are recorded for one runtime, after everything that maps functions.
    let call = CustomCall { target: SPIKE_PRODUCT, config, outputs, ranges: Vec::new(), map: |_, _| None };
    call.on(spikes.graph(), &[spikes.clone(), matrix.clone()]).swap_remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for over_rows in [false, true] {
            let product = SpikeProduct { rows: 3, columns: 5, width: 7, over_rows };
            assert_eq!(SpikeProduct::decode(&product.encode()), Some(product));
            assert_eq!(product.summed() * product.kept(), 15);
        }
        for wrong in [vec![], vec![VERSION, 3, 5, 7], vec![VERSION + 1, 3, 5, 7, 0], vec![VERSION, -3, 5, 7, 0]] {
            assert_eq!(SpikeProduct::decode(&wrong), None);
        }
    }
}
