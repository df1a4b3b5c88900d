//! Samples of every operation, for tests that must hold for all of them.

pub use crate::ops::sample::{Domain, Sample};

/// At least one sample of every operation.
pub fn samples() -> Vec<Sample> {
    let families = [
        crate::ops::elementwise::samples(),
        crate::ops::collective::samples(),
        crate::ops::constant::samples(),
        crate::ops::convert::samples(),
        crate::ops::custom_call::samples(),
        crate::ops::select::samples(),
        crate::ops::shape::samples(),
        crate::ops::slice::samples(),
        crate::ops::reduce::samples(),
        crate::ops::reduce_window::samples(),
        crate::ops::dot_general::samples(),
        crate::ops::einsum::samples(),
        crate::ops::convolution::samples(),
        crate::ops::gather::samples(),
        crate::ops::sort::samples(),
        crate::ops::gradient::samples(),
        crate::ops::control::samples(),
        crate::numpy::activations::samples(),
        crate::numpy::arrange::samples(),
        crate::numpy::cumulative::samples(),
        crate::numpy::erf::samples(),
        crate::numpy::indexing::samples(),
        crate::numpy::statistics::samples(),
        crate::scan::operation::samples(),
        crate::scan::associative::samples(),
        crate::scan::checkpoint::samples(),
        crate::scan::running_sum::samples(),
    ];
    families.into_iter().flatten().collect()
}
