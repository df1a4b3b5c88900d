//! Finds the parts of a function that kernels can compute and replaces them by calls.
//!
//! Invariant: does not depend on the code that computes kernels.

mod body;
mod convert_inside;
mod convolutions;
mod needed;
mod optimize;
mod pooling;
mod products;
mod products_in_scans;
mod prologue;
mod recurrent;
mod remaining;
mod scan_to_lanes;
mod xla_cpu;

pub use body::stores;
pub use products::call_masked_products;
pub use products_in_scans::products_in_scans;
pub use remaining::{Refusal, remaining_loops};
pub use scan_to_lanes::{ElementwiseLoop, Record, call_elementwise_scans, replace_elementwise_scans};

use spiq_hlo::{Function, GraphErrors};

/// The same function with kernel calls for [masked products](call_masked_products) and [elementwise loops](call_elementwise_scans);
/// products that only such a loop reads are [fused into it](products_in_scans).
///
/// # Errors
/// None for a function that was traced without errors.
pub fn call_kernels(function: &Function) -> Result<Function, GraphErrors> {
    let products = pooling::pool_bytes(&call_masked_products(function)?)?;
    Ok(products_in_scans(&call_elementwise_scans(&products)?.simplify()))
}
