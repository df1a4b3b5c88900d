//! The operations, one file per family of the StableHLO specification. Each file may call another's methods on tensors,
//! never its structs.

pub(crate) mod constant;
pub(crate) mod convert;
pub(crate) mod convolution;
pub(crate) mod custom_call;
pub(crate) mod dot_general;
pub(crate) mod einsum;
pub(crate) mod elementwise;
pub(crate) mod gather;
pub(crate) mod gradient;
pub(crate) mod reduce;
pub(crate) mod reduce_window;
mod reducer;
pub(crate) mod sample;
pub(crate) mod select;
pub(crate) mod shape;
pub(crate) mod slice;
pub(crate) mod sort;
pub(crate) mod window;

pub use sample::{Domain, Sample};

/// A sample of every operation, for tests that hold for each of them.
pub fn samples() -> Vec<Sample> {
    let families = [
        elementwise::samples(),
        constant::samples(),
        convert::samples(),
        select::samples(),
        shape::samples(),
        slice::samples(),
        reduce::samples(),
        reduce_window::samples(),
        dot_general::samples(),
        einsum::samples(),
        convolution::samples(),
        gather::samples(),
        sort::samples(),
        gradient::samples(),
        crate::control::samples(),
        crate::scan::samples(),
        crate::elementwise_scan::samples(),
        crate::associative_scan::samples(),
        crate::checkpoint::samples(),
        crate::running_sum::samples(),
    ];
    families.into_iter().flatten().collect()
}
