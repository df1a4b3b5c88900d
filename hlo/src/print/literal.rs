//! Numbers and arrays as MLIR attributes.

use crate::types::array::Array;
use crate::types::dtype::{DType, Kind};

/// `array<i64: 1, 2>`.
pub(crate) fn array_i64(values: &[usize]) -> String {
    array_signed(&values.iter().map(|&v| v as i64).collect::<Vec<_>>())
}

/// `array<i64: -1, 2>`.
pub(crate) fn array_signed(values: &[i64]) -> String {
    let list: Vec<String> = values.iter().map(i64::to_string).collect();
    if list.is_empty() { "array<i64>".to_owned() } else { format!("array<i64: {}>", list.join(", ")) }
}

/// Larger arrays are printed as one string of their bytes.
const LISTED: usize = 16;

/// `dense<…>` without its type: a scalar is a splat, small arrays are listed, large ones are bytes.
pub(crate) fn dense(array: &Array) -> String {
    let size = array.dtype().host_bytes();
    let elements: Vec<&[u8]> = array.bytes().chunks_exact(size).collect();
    if array.dims().is_empty() {
        return format!("dense<{}>", element(array.dtype(), elements[0]));
    }
    // MLIR packs booleans and sub-byte integers in the byte form, so those are always listed.
    let byte_form = array.dtype().bits() >= 8 && array.dtype().kind() != Kind::Pred;
    if byte_form && elements.len() > LISTED {
        let little: Vec<u8> = elements.iter().flat_map(|e| little_endian(e)).collect();
        let hex: String = little.iter().map(|b| format!("{b:02X}")).collect();
        return format!("dense<\"0x{hex}\">");
    }
    let listed: Vec<String> = elements.iter().map(|e| element(array.dtype(), e)).collect();
    format!("dense<{}>", nested(&listed, array.dims()))
}

fn little_endian(element: &[u8]) -> Vec<u8> {
    let mut bytes = element.to_vec();
    if cfg!(target_endian = "big") {
        bytes.reverse();
    }
    bytes
}

fn nested(elements: &[String], dims: &[usize]) -> String {
    let Some((&size, inner)) = dims.split_first() else { return elements[0].clone() };
    let step = elements.len() / size.max(1);
    let parts: Vec<String> = (0..size).map(|i| nested(&elements[i * step..(i + 1) * step], inner)).collect();
    format!("[{}]", parts.join(", "))
}

fn element(dtype: DType, bytes: &[u8]) -> String {
    let scalar = Array::from_bytes(crate::TensorType::scalar(dtype), bytes).expect("one element");
    match dtype.kind() {
        Kind::Pred => (bytes[0] != 0).to_string(),
        Kind::Float => float(dtype, scalar.to_f64()[0], bytes),
        // 64-bit integers do not fit f64.
        _ if dtype == DType::S64 => scalar.to_vec::<i64>().expect("an s64")[0].to_string(),
        _ if dtype == DType::U64 => scalar.to_vec::<u64>().expect("a u64")[0].to_string(),
        _ => (scalar.to_f64()[0] as i64).to_string(),
    }
}

/// A decimal number that parses to the same value; the bits of infinities and NaN.
fn float(dtype: DType, value: f64, bytes: &[u8]) -> String {
    if !value.is_finite() {
        let hex: String = little_endian(bytes).iter().rev().map(|b| format!("{b:02X}")).collect();
        return format!("0x{hex}");
    }
    let shortest = if dtype == DType::F32 { format!("{:e}", value as f32) } else { format!("{value:e}") };
    let (mantissa, exponent) = shortest.split_once('e').expect("scientific form has an exponent");
    let dot = if mantissa.contains('.') { "" } else { ".0" };
    if exponent == "0" { format!("{mantissa}{dot}") } else { format!("{mantissa}{dot}e{exponent}") }
}
