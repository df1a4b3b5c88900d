//! Converts arrays as people store them to the types that samples have: spikes and counts as u8, numbers as f32, images as u8, labels
//! as i32.

use spiq_hlo::{Array, DType};

/// Samples over time: spikes and counts up to 255 of any integer type or booleans as u8, all other numbers as f32.
///
/// # Errors
/// The end of a sentence about the array, for a number that f32 cannot hold.
pub(super) fn inputs(array: &Array) -> Result<Array, String> {
    match array.dtype() {
        DType::U8 | DType::F32 => Ok(array.clone()),
        DType::Pred => Ok(bytes(array, array.bytes().to_vec())),
        dtype if dtype.is_float() => floats(array),
        _ => {
            let values = array.to_f64();
            match values.iter().all(|value| (0.0..=255.0).contains(value)) {
                true => Ok(bytes(array, values.into_iter().map(|value| value as u8).collect())),
                false => floats(array),
            }
        }
    }
}

/// Images: integers from 0 to 255 as they are, floats from 0 to 1 in 256 levels.
///
/// # Errors
/// The end of a sentence about the array, for values outside these ranges.
pub(super) fn images(array: &Array) -> Result<Array, String> {
    let dtype = array.dtype();
    if matches!(dtype, DType::U8) {
        return Ok(array.clone());
    }
    let (most, scale) = if dtype.is_float() || dtype == DType::Pred { (1.0, 255.0) } else { (255.0, 1.0) };
    let values = array.to_f64();
    match values.iter().position(|value| !(0.0..=most).contains(value)) {
        Some(place) => Err(format!(
            "is {} and holds {}, but {} images must lie between 0 and {most}; scale them, or store them as u8",
            array.ty(),
            values[place],
            dtype.name()
        )),
        None => Ok(bytes(array, values.into_iter().map(|value| (value * scale).round() as u8).collect())),
    }
}

/// Labels: whole numbers of any type, of shape `[N]` or `[N, 1]`, as a list.
///
/// # Errors
/// The end of a sentence about the array, for another shape or a fraction.
pub(super) fn labels(array: &Array, count: usize) -> Result<Vec<f64>, String> {
    if array.dims() != [count] && array.dims() != [count, 1] {
        return Err(format!("is {}, but the {count} samples need the shape [{count}]", array.ty()));
    }
    let values = array.to_f64();
    match values.iter().position(|value| value.fract() != 0.0 || !value.is_finite()) {
        Some(place) => Err(format!("holds {} at {place}, but must hold the number of a class", values[place])),
        None => Ok(values),
    }
}

fn bytes(array: &Array, values: Vec<u8>) -> Array {
    Array::from_bytes(array.ty().with_dtype(DType::U8), values).expect("one byte per element")
}

fn floats(array: &Array) -> Result<Array, String> {
    let wide = array.to_f64();
    let values: Vec<f32> = wide.iter().map(|value| *value as f32).collect();
    // Non-finite elements of the file itself are reported by the caller.
    let overflowed = wide.iter().zip(&values).find(|(wide, narrow)| wide.is_finite() && !narrow.is_finite());
    match overflowed {
        Some((value, _)) => Err(format!("holds {value}, which is out of range for f32")),
        None => Ok(Array::new(array.dims(), values).expect("one number per element")),
    }
}
