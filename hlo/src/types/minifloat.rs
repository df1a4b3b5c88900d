//! Converts eight- and four-bit floats to and from `f64`.
//!
//! Formats as in the OCP 8-bit floating point and microscaling specifications; rounding is to nearest, ties to even.

use crate::types::dtype::DType;

/// The meaning of the largest exponent field.
#[derive(Clone, Copy, PartialEq)]
enum Top {
    /// Infinity and NaN, as in IEEE 754.
    Ieee,
    /// Finite numbers, except one NaN with all bits set; overflow becomes NaN.
    OneNan,
    /// Finite numbers only; overflow saturates.
    Finite,
}

#[derive(Clone, Copy)]
struct Format {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    top: Top,
}

fn format(dtype: DType) -> Option<Format> {
    let (exponent_bits, mantissa_bits, bias, top) = match dtype {
        DType::F8E4M3FN => (4, 3, 7, Top::OneNan),
        DType::F8E5M2 => (5, 2, 15, Top::Ieee),
        DType::F4E2M1FN => (2, 1, 1, Top::Finite),
        _ => return None,
    };
    Some(Format { exponent_bits, mantissa_bits, bias, top })
}

impl Format {
    fn code(self, exponent: u32, mantissa: u32) -> u32 {
        exponent << self.mantissa_bits | mantissa
    }

    /// The code of the largest finite magnitude.
    fn largest(self) -> u32 {
        let top = (1 << self.exponent_bits) - 1;
        let full = (1 << self.mantissa_bits) - 1;
        match self.top {
            Top::Ieee => self.code(top - 1, full),
            Top::OneNan => self.code(top, full - 1),
            Top::Finite => self.code(top, full),
        }
    }

    fn magnitude(self, code: u32) -> f64 {
        let exponent = (code >> self.mantissa_bits) as i32;
        let mantissa = f64::from(code & ((1 << self.mantissa_bits) - 1)) / f64::from(1u32 << self.mantissa_bits);
        if exponent == 0 {
            mantissa * 2f64.powi(1 - self.bias)
        } else {
            (1.0 + mantissa) * 2f64.powi(exponent - self.bias)
        }
    }
}

/// The value of a small float's bits; `None` when `dtype` is not a small float.
pub(crate) fn decode(dtype: DType, bits: u8) -> Option<f64> {
    if dtype == DType::F8E8M0FNU {
        return Some(if bits == 0xff { f64::NAN } else { 2f64.powi(i32::from(bits) - 127) });
    }
    let format = format(dtype)?;
    let width = format.exponent_bits + format.mantissa_bits;
    let code = u32::from(bits) & ((1 << width) - 1);
    let sign = if u32::from(bits) >> width & 1 == 1 { -1.0 } else { 1.0 };
    let beyond = code > format.largest();
    Some(match format.top {
        Top::Ieee if beyond && code & ((1 << format.mantissa_bits) - 1) == 0 => sign * f64::INFINITY,
        _ if beyond => f64::NAN,
        _ => sign * format.magnitude(code),
    })
}

/// The bits of the small float nearest to `value`; `None` when `dtype` is not a small float.
pub(crate) fn encode(dtype: DType, value: f64) -> Option<u8> {
    if dtype == DType::F8E8M0FNU {
        return Some(encode_e8m0(value));
    }
    let format = format(dtype)?;
    let width = format.exponent_bits + format.mantissa_bits;
    let sign = if value.is_sign_negative() { 1u32 << width } else { 0 };
    let code = if value.is_nan() { nan(format) } else { nearest(format, value.abs()) };
    Some((sign | code) as u8)
}

/// The bits of a power of two; zero, negative and too small values become the smallest one.
fn encode_e8m0(value: f64) -> u8 {
    if value.is_nan() || value.is_infinite() {
        return 0xff;
    }
    let exponent = if value > 0.0 { value.log2().round_ties_even() } else { -127.0 };
    (exponent.clamp(-127.0, 127.0) + 127.0) as u8
}

fn nan(format: Format) -> u32 {
    let top = (1 << format.exponent_bits) - 1;
    match format.top {
        Top::Finite => 0,
        _ => format.code(top, (1 << format.mantissa_bits) - 1),
    }
}

fn nearest(format: Format, magnitude: f64) -> u32 {
    let largest = format.largest();
    let step = format.magnitude(largest) - format.magnitude(largest - 1);
    if magnitude >= format.magnitude(largest) + step / 2.0 {
        return overflow(format, magnitude, step);
    }
    // Codes and magnitudes have the same order, so bisection finds the neighbor below.
    let (mut low, mut high) = (0, largest);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if format.magnitude(middle) <= magnitude { low = middle } else { high = middle - 1 }
    }
    if low == largest {
        return largest;
    }
    let (below, above) = (magnitude - format.magnitude(low), format.magnitude(low + 1) - magnitude);
    if above < below || (above == below && low % 2 == 1) { low + 1 } else { low }
}

fn overflow(format: Format, magnitude: f64, step: f64) -> u32 {
    let largest = format.largest();
    match format.top {
        Top::Finite => largest,
        Top::Ieee => largest + 1,
        // A tie goes to the even neighbor, the last number below the NaN code.
        Top::OneNan if magnitude == format.magnitude(largest) + step / 2.0 => largest,
        Top::OneNan => nan(format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_a_round_trip() {
        for (dtype, width) in [(DType::F8E4M3FN, 8), (DType::F8E5M2, 8), (DType::F4E2M1FN, 4), (DType::F8E8M0FNU, 8)] {
            for bits in 0..(1u32 << width) as u16 {
                let value = decode(dtype, bits as u8).unwrap();
                let back = encode(dtype, value).unwrap();
                assert!(value.is_nan() || back == bits as u8, "{dtype} {bits:#x} is {value}, came back as {back:#x}");
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_specification() {
        assert_eq!(decode(DType::F8E4M3FN, 0x7e), Some(448.0));
        assert_eq!(decode(DType::F8E5M2, 0x7b), Some(57344.0));
        assert_eq!(decode(DType::F8E5M2, 0x7c), Some(f64::INFINITY));
        assert_eq!(decode(DType::F4E2M1FN, 0x7), Some(6.0));
        assert!(decode(DType::F8E4M3FN, encode(DType::F8E4M3FN, 1e4).unwrap()).unwrap().is_nan());
        assert_eq!(decode(DType::F8E4M3FN, encode(DType::F8E4M3FN, 2.125).unwrap()), Some(2.0));
    }
}
