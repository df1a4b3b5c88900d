//! Rounds scaled values to a type, and converts them back.

use spiq_hlo::{Array, DType, Tensor};

use super::qtype::QType;

/// The 16 levels of nf4: quantiles of a normal distribution. Source: QLoRA (arXiv 2305.14314), appendix E.
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// A tensor as floats, for calibration and rounding: booleans become f32.
pub(crate) fn as_float(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Pred { x.convert(DType::F32) } else { x.clone() }
}

/// Rounds scaled values to the stored form of a type: nearest, ties to even, saturating.
pub(crate) fn round_to(scaled: &Tensor, qtype: QType) -> Tensor {
    let (low, high) = qtype.range();
    let stored = match qtype {
        QType::Int(_) | QType::Ternary | QType::Binary => scaled.round_nearest_even().clamp(low, high),
        QType::Int1 => scaled.ge(0.0).select(&scaled.full_like(1.0), &scaled.full_like(-1.0)),
        QType::Nf4 => nearest_level(scaled),
        QType::E4m3fn | QType::E5m2 | QType::Mxfp8 => scaled.clamp(low, high),
        QType::Mxfp4 | QType::Nvfp4 => to_e2m1(&scaled.clamp(low, high)),
    };
    stored.convert(qtype.storage())
}

/// The numbers that stored values represent, before scaling.
pub(crate) fn levels(values: &Tensor, qtype: QType, dtype: DType) -> Tensor {
    match qtype {
        QType::Nf4 => {
            let table = Array::new([NF4.len()], NF4).expect("a list of its own length");
            values.graph().constant(&table).take_clipped(&values.convert(DType::S32), 0).convert(dtype)
        }
        _ => values.convert(dtype),
    }
}

/// The index of the nearest nf4 level: the number of midpoints below.
fn nearest_level(scaled: &Tensor) -> Tensor {
    let middles: Vec<f32> =
        NF4.windows(2).map(|pair| ((f64::from(pair[0]) + f64::from(pair[1])) / 2.0) as f32).collect();
    let middles = Array::new([middles.len()], middles).expect("a list of its own length");
    let above = scaled.expand_dims(-1).gt(scaled.graph().constant(&middles).convert(scaled.dtype()));
    above.convert(DType::S32).reduce_sum([scaled.rank()])
}

/// The nearest multiple of 1/2 below 2, of 1 below 4, of 2 up to 6: the values of f4E2M1FN, which no CPU plugin supports. Ties go to the
/// even mantissa.
fn to_e2m1(scaled: &Tensor) -> Tensor {
    let magnitude = scaled.abs();
    let full = |value: f64| scaled.full_like(value);
    let step = magnitude.lt(2.0).select(&full(0.5), &magnitude.lt(4.0).select(&full(1.0), &full(2.0)));
    (scaled / &step).round_nearest_even() * step
}
