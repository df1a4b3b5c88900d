//! The number of operations in a call, for profiles.

use super::convolution;
use super::memory::Read;
use crate::contract::call::KernelCall;
use crate::contract::fused_product::{FusedProduct, Left};
use crate::contract::lane_program::LaneProgram;

/// Operations on single elements that a call performs on these operands: an addition for each element of a row that a product adds, a
/// multiplication with an addition for each factor of a dense product, and the instructions of a loop in each lane and step. `None` if the number also depends on results, or if the operands do not fit the call.
pub fn operations(call: &KernelCall, inputs: &[Read]) -> Option<u64> {
    match call {
        KernelCall::Product(product) => additions(inputs.first()?, product.width),
        KernelCall::Loop(program, products) => in_loop(program, products, inputs),
        KernelCall::Convolution(sizes) => convolution::additions(sizes, inputs.first()?),
    }
}

fn in_loop(program: &LaneProgram, products: &[FusedProduct], inputs: &[Read]) -> Option<u64> {
    let elements = program.steps as u64 * program.lanes as u64;
    let mut count = elements * program.instructions.len() as u64;
    // The factors of each product follow all other operands.
    let operands: usize = products.iter().map(FusedProduct::operands).sum();
    let mut factors = &inputs[inputs.len().checked_sub(operands)?..];
    for product in products {
        let (own, rest) = factors.split_at(product.operands());
        factors = rest;
        count += match product.left {
            Left::Mask => additions(&own[0], product.width)?,
            Left::Results(_) => elements * product.columns as u64,
            Left::Sampled(_) | Left::Spikes(_) => return None,
        };
    }
    Some(count)
}

/// Additions for sums of rows of this width: one row for each element of the mask that is not 0.
fn additions(mask: &Read, width: usize) -> Option<u64> {
    let rows = match mask {
        Read::S8(mask) => mask.iter().filter(|element| **element != 0).count(),
        Read::Pred(mask) => mask.iter().filter(|element| **element != 0).count(),
        _ => return None,
    };
    Some(rows as u64 * width as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::masked_product::MaskedProduct;

    #[test]
    fn a_product_adds_a_row_per_event() {
        let product = KernelCall::Product(MaskedProduct { rows: 2, columns: 3, width: 5, over_rows: false });
        assert_eq!(operations(&product, &[Read::Pred(&[1, 0, 1, 0, 0, 1]), Read::S8(&[1; 15])]), Some(15));
        assert_eq!(operations(&product, &[Read::F32(&[1.0; 6]), Read::S8(&[1; 15])]), None);
    }

    #[test]
    fn a_loop_runs_its_instructions_and_adds_rows() {
        let program = LaneProgram { steps: 4, lanes: 6, ..LaneProgram::default() };
        let masked = FusedProduct { slice: 0, columns: 2, width: 3, left: Left::Mask };
        let count = |products: &[FusedProduct]| {
            let call = KernelCall::Loop(program.clone(), products.to_vec());
            operations(&call, &[Read::S8(&[1, 0, 1, 0]), Read::S8(&[1; 6])])
        };
        assert_eq!(count(&[masked]), Some(6));
        assert_eq!(count(&[FusedProduct { left: Left::Sampled(0), ..masked }]), None);
        assert_eq!(count(&[FusedProduct { columns: 3, left: Left::Results(0), ..masked }]), Some(4 * 6 * 3));
    }
}
