//! Computes the maxima of spikes in bytes: where only the bytes of a maximum are read, those of the spikes are converted before it.

use spiq_hlo::{DType, Function, GraphErrors, ReduceWindow, Tensor};

/// Moves each conversion to bytes before the maximum over windows of spikes that it converts. The loop that computes the spikes then
/// writes bytes, a quarter of the memory.
///
/// # Errors
/// None for a function that was traced without errors.
pub(super) fn pool_bytes(function: &Function) -> Result<Function, GraphErrors> {
    function.transform(&mut |node, operands| {
        let converts = node.op.name() == "convert" && node.types[0].dtype == DType::S8;
        let bytes = converts.then(|| pooled(&operands[0])).flatten()?;
        Some(vec![bytes])
    })
}

/// The bytes of a maximum of zeros and ones.
fn pooled(maximum: &Tensor) -> Option<Tensor> {
    let origin = maximum.origin();
    match origin.op.name() {
        "reshape" => return Some(pooled(&origin.operands[0])?.reshape(maximum.dims())),
        // From one type of zeros and ones to another.
        "convert" if origin.operands[0].is_boolean() => return pooled(&origin.operands[0]),
        _ => {}
    }
    let window = origin.op.downcast::<ReduceWindow>()?.maximum()?;
    let spikes = origin.operands.first().filter(|spikes| spikes.is_boolean())?;
    window.maximum_of_slices(&pooled(spikes).unwrap_or_else(|| spikes.convert(DType::S8)))
}
