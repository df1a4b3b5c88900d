//! Reductions of the parts of all processes, in the order of the processes.

use std::sync::Arc;

use spiq_hlo::DType;

/// The reductions of the graph; a call holds the index.
pub(super) const REDUCERS: [&str; 6] = ["sum", "product", "max", "min", "and", "or"];

/// The element types; a call holds the index.
pub(super) const DTYPES: [DType; 13] = [
    DType::Pred,
    DType::S8,
    DType::S16,
    DType::S32,
    DType::S64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::BF16,
    DType::F16,
    DType::F32,
    DType::F64,
];

/// Reduces parts of equal size to a result of that size. Sums of integers wrap; those of bf16 are added in f32 and rounded once.
pub(super) fn reduce(reducer: &str, dtype: DType, parts: &[Arc<[u8]>], out: &mut [u8]) -> Result<(), String> {
    macro_rules! integers {
        ($($dtype:ident $ty:ty)*) => {
            match (reducer, dtype) {
                $(("sum", DType::$dtype) => fold(parts, out, <$ty>::from_le_bytes, <$ty>::to_le_bytes, <$ty>::wrapping_add),
                ("product", DType::$dtype) => fold(parts, out, <$ty>::from_le_bytes, <$ty>::to_le_bytes, <$ty>::wrapping_mul),
                ("max", DType::$dtype) => fold(parts, out, <$ty>::from_le_bytes, <$ty>::to_le_bytes, <$ty>::max),
                ("min", DType::$dtype) => fold(parts, out, <$ty>::from_le_bytes, <$ty>::to_le_bytes, <$ty>::min),
                ("and", DType::$dtype) => fold(parts, out, <$ty>::from_le_bytes, <$ty>::to_le_bytes, |a, b| a & b),
                ("or", DType::$dtype) => fold(parts, out, <$ty>::from_le_bytes, <$ty>::to_le_bytes, |a, b| a | b),)*
                _ => return Err(format!("processes have no {reducer} of {dtype}")),
            }
        };
    }
    match dtype {
        DType::F32 => fold(parts, out, f32::from_le_bytes, f32::to_le_bytes, of_floats(reducer, dtype)?),
        DType::F64 => fold(parts, out, f64::from_le_bytes, f64::to_le_bytes, of_floats(reducer, dtype)?),
        DType::BF16 => fold(parts, out, from_bf16, to_bf16, of_floats::<f32>(reducer, dtype)?),
        // Sum and product of booleans are "or" and "and".
        DType::Pred => match reducer {
            "sum" | "max" | "or" => fold(parts, out, u8::from_le_bytes, u8::to_le_bytes, |a, b| a | b),
            _ => fold(parts, out, u8::from_le_bytes, u8::to_le_bytes, |a, b| a & b),
        },
        _ => integers!(S8 i8 S16 i16 S32 i32 S64 i64 U8 u8 U16 u16 U32 u32 U64 u64),
    }
    Ok(())
}

/// Reduces each element over all parts, from the first process to the last.
fn fold<const N: usize, T>(
    parts: &[Arc<[u8]>],
    out: &mut [u8],
    read: impl Fn([u8; N]) -> T,
    write: impl Fn(T) -> [u8; N],
    combine: impl Fn(T, T) -> T,
) {
    for (at, out) in out.chunks_exact_mut(N).enumerate() {
        let element = |part: &Arc<[u8]>| read(part[at * N..(at + 1) * N].try_into().expect("an element"));
        if let Some(value) = parts.iter().map(element).reduce(&combine) {
            out.copy_from_slice(&write(value));
        }
    }
}

/// Numbers that may be NaN.
trait Float: Copy + PartialOrd + std::ops::Add<Output = Self> + std::ops::Mul<Output = Self> {}
impl Float for f32 {}
impl Float for f64 {}

/// A reduction of floats. NaN propagates, as in XLA.
fn of_floats<T: Float>(reducer: &str, dtype: DType) -> Result<fn(T, T) -> T, String> {
    Ok(match reducer {
        "sum" => |a, b| a + b,
        "product" => |a, b| a * b,
        "max" => |a, b| if is_nan(a) || a >= b { a } else { b },
        "min" => |a, b| if is_nan(a) || a <= b { a } else { b },
        _ => return Err(format!("processes have no {reducer} of {dtype}")),
    })
}

#[expect(clippy::eq_op, reason = "only NaN differs from itself")]
fn is_nan<T: PartialOrd>(x: T) -> bool {
    x != x
}

fn from_bf16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// Rounds to the nearest, ties to even.
fn to_bf16(value: f32) -> [u8; 2] {
    let bits = value.to_bits();
    let rounded = if value.is_nan() { bits | 1 << 22 } else { bits + 0x7fff + (bits >> 16 & 1) };
    ((rounded >> 16) as u16).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(reducer: &str, parts: &[&[f32]]) -> Vec<f32> {
        let parts: Vec<Arc<[u8]>> =
            parts.iter().map(|part| part.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
        let mut out = vec![0; parts[0].len()];
        reduce(reducer, DType::F32, &parts, &mut out).expect("a reduction");
        out.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect()
    }

    #[test]
    fn sums_are_added_in_the_order_of_the_processes() {
        let sum = floats("sum", &[&[1e8, 1.0], &[1.0, 2.0], &[-1e8, 3.0]]);
        assert_eq!(sum, [(1e8 + 1.0) - 1e8, 6.0]);
        assert_eq!(floats("product", &[&[2.0], &[3.0]]), [6.0]);
    }

    #[test]
    fn nan_propagates() {
        for reducer in ["max", "min"] {
            let found = floats(reducer, &[&[f32::NAN, 1.0, 1.0], &[1.0, f32::NAN, 2.0]]);
            assert!(found[0].is_nan() && found[1].is_nan(), "{reducer}");
        }
        assert_eq!(floats("max", &[&[1.0], &[2.0]]), [2.0]);
        assert_eq!(floats("min", &[&[1.0], &[2.0]]), [1.0]);
    }

    #[test]
    fn integers_booleans_and_bf16() {
        let reduced = |reducer, dtype, parts: [&[u8]; 2]| {
            let parts: Vec<Arc<[u8]>> = parts.iter().map(|part| (*part).into()).collect();
            let mut out = vec![0; parts[0].len()];
            reduce(reducer, dtype, &parts, &mut out).map(|()| out)
        };
        assert_eq!(reduced("sum", DType::S8, [&[127, 1], &[1, 255]]), Ok(vec![128, 0]));
        assert_eq!(reduced("max", DType::S8, [&[127, 255], &[1, 254]]), Ok(vec![127, 255]));
        assert_eq!(reduced("sum", DType::Pred, [&[0, 1], &[1, 1]]), Ok(vec![1, 1]));
        assert_eq!(reduced("and", DType::Pred, [&[0, 1], &[1, 1]]), Ok(vec![0, 1]));
        let half = to_bf16(1.0 + 1.0 / 128.0);
        assert_eq!(reduced("sum", DType::BF16, [&half, &to_bf16(0.0)]), Ok(half.to_vec()));
        assert!(reduced("sum", DType::F16, [&[0, 0], &[0, 0]]).is_err());
        assert!(reduced("and", DType::F32, [&[0; 4], &[0; 4]]).is_err());
    }

    #[test]
    fn bf16_rounds_to_even() {
        assert_eq!(
            [to_bf16(f32::from_bits(0x3f80_8000)), to_bf16(f32::from_bits(0x3f81_8000))],
            [[0x80, 0x3f], [0x82, 0x3f]]
        );
        assert!(from_bf16(to_bf16(f32::NAN)).is_nan());
        assert_eq!(from_bf16(to_bf16(f32::INFINITY)), f32::INFINITY);
    }
}
