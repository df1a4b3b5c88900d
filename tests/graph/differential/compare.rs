//! Compares results with JAX's. Results without rounding must be bit-identical, including the sign of zero; NaN equals NaN. Others may
//! deviate by twice the rounding error of JAX's own program.

use spiq::{Array, DType};

use crate::reference::Case;

/// Compares all results of a case; returns the first difference, in words.
pub fn compare(case: &Case<'_>, results: &[Array]) -> Result<(), String> {
    let wanted = (0..).map_while(|i| case.find(&format!("result/{i}")));
    if wanted.clone().count() != results.len() {
        return Err(format!("{} results", results.len()));
    }
    for (i, (got, want)) in results.iter().zip(wanted).enumerate() {
        if got.ty() != want.ty() {
            return Err(format!("result {i} is {}, JAX's {}", got.ty(), want.ty()));
        }
        let within = case.find(&format!("within/{i}")).map(Array::to_f64);
        elements(got, want, within.as_deref()).map_err(|message| format!("result {i}{message}"))?;
    }
    Ok(())
}

fn elements(got: &Array, want: &Array, within: Option<&[f64]>) -> Result<(), String> {
    let size = want.dtype().host_bytes();
    let bytes = got.bytes().chunks_exact(size).zip(want.bytes().chunks_exact(size));
    let numbers = got.to_f64().into_iter().zip(want.to_f64());
    for (i, ((got_bytes, want_bytes), (g, w))) in bytes.zip(numbers).enumerate() {
        let limit = within.map_or(0.0, |within| within[i]);
        let both_nan = want.dtype().is_float() && g.is_nan() && w.is_nan();
        let near = limit > 0.0 && (g - w).abs() <= limit;
        // Units for bf16 (AVX512-BF16), which JAX's numbers come from, flush denormals; other processors keep them.
        let kept = want.dtype() == DType::BF16 && w == 0.0 && g.abs() < f64::from(f32::MIN_POSITIVE);
        if got_bytes != want_bytes && !both_nan && !near && !kept {
            return Err(format!("[{i}] is {g:?}, JAX's {w:?}, within {limit:e}\n  {:?}\n  {:?}", got, want));
        }
    }
    Ok(())
}
