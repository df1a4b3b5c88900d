//! Scalar `erf`, `erf_inv` and `log1p` in f32, evaluated step by step as in XLA.
//!
//! A libm's `log1p` differs from XLA's in the last place, and between platforms. These functions follow the code that XLA:CPU
//! generates for `chlo.erf`, `chlo.erf_inv` and `stablehlo.log_plus_one`, including its fused multiply-adds, so a sample drawn
//! here has the same bits as in JAX on a CPU with that instruction. Tests compare the same formulas in a graph with these
//! functions.

use spiq_hlo::{ERF_CLAMP, ERF_DENOMINATOR, ERF_NUMERATOR};

/// The error function.
///
/// A rational function of the argument clamped to ±3.74, beyond which the result is ±1 in f32 (Eigen's `perf` coefficients).
///
/// ```
/// assert_eq!(spiq::random::special::erf(0.5), 0.5204999);
/// ```
pub fn erf(x: f32) -> f32 {
    if x.abs() >= ERF_CLAMP {
        return 1f32.copysign(x);
    }
    let square = x * x;
    x * horner(square, &ERF_NUMERATOR) / horner(square, &ERF_DENOMINATOR)
}

/// [`erf_inv`]'s polynomial below w = 5, highest power first.
pub(super) const CENTRAL: [f32; 9] = [
    2.810_226_4e-8,
    3.432_739_4e-7,
    -3.523_387_7e-6,
    -4.391_506_5e-6,
    0.000_218_580_87,
    -0.001_253_725,
    -0.004_177_681_6,
    0.246_640_73,
    1.501_409_4,
];
/// [`erf_inv`]'s polynomial above w = 5.
pub(super) const TAIL: [f32; 9] = [
    -0.000_200_214_26,
    0.000_100_950_56,
    0.001_349_343_2,
    -0.003_673_428_4,
    0.005_739_507_7,
    -0.007_622_461_3,
    0.009_438_870_5,
    1.001_674,
    2.832_976_8,
];

/// The inverse of [`erf`]: infinite at ±1, NaN beyond.
///
/// Source: Giles, "Approximating the erfinv function", 2010: with w = -log(1 - x²) a polynomial in w - 2.5 below w = 5
/// and in √w - 3 above it.
///
/// ```
/// assert_eq!(spiq::random::special::erf_inv(0.5), 0.47693628);
/// ```
pub fn erf_inv(x: f32) -> f32 {
    if x.abs() == 1.0 {
        return x * f32::INFINITY;
    }
    let w = -log1p(x * -x);
    let factor = if w < 5.0 { horner(w - 2.5, &CENTRAL) } else { horner(w.sqrt() - 3.0, &TAIL) };
    x * factor
}

/// The logarithm of `1 + x`, accurate to a few units in the last place, including near zero.
///
/// Cephes' rational function below √2 - 1, the logarithm of the sum otherwise.
///
/// ```
/// assert_eq!(spiq::random::special::log1p(1e-8), 1e-8);
/// ```
pub fn log1p(x: f32) -> f32 {
    const SMALL: f32 = 0.414_213_57;
    const NUMERATOR: [f32; 7] = [4.527e-5, 0.498_541_03, 6.578_732_5, 29.911_919, 60.949_67, 57.112_965, 20.039_553];
    const DENOMINATOR: [f32; 7] = [1.0, 15.062_909, 83.047_57, 221.762_4, 309.098_72, 216.427_89, 60.118_66];
    if x.abs() >= SMALL {
        return log(x + 1.0);
    }
    let square = x * x;
    let ratio = horner(x, &NUMERATOR) / horner(x, &DENOMINATOR);
    x + square.mul_add(-0.5, x * square * ratio)
}

/// The natural logarithm; a subnormal argument is treated as the smallest normal number.
fn log(x: f32) -> f32 {
    // Coefficients grouped by power modulo 3: XLA evaluates the polynomial as three interleaved ones.
    const A: [f32; 3] = [0.070_376_836, -0.115_146_1, 0.116_769_984];
    const B: [f32; 3] = [-0.124_201_41, 0.142_493_23, -0.166_680_57];
    const C: [f32; 3] = [0.200_007_14, -0.249_999_94, 0.333_333_3];
    // ln 2 split into a short part, whose product with an exponent is exact, and the remainder.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -0.000_212_194_44;
    if x.is_nan() || x < 0.0 {
        return f32::NAN;
    } else if x == 0.0 {
        return f32::NEG_INFINITY;
    } else if x.is_infinite() {
        return x;
    }
    let (mantissa, exponent) = halves(x.max(f32::MIN_POSITIVE));
    let square = mantissa * mantissa;
    let cube = square * mantissa;
    let sum = horner(mantissa, &A).mul_add(cube, horner(mantissa, &B)).mul_add(cube, horner(mantissa, &C));
    let fraction = (mantissa - 0.5 * square) + sum.mul_add(cube, exponent * LN2_LOW);
    exponent.mul_add(LN2_HIGH, fraction)
}

/// `x = (1 + m) 2^e` with `1 + m` between √½ and √2: returns m and e.
fn halves(x: f32) -> (f32, f32) {
    let bits = x.to_bits();
    let half = f32::from_bits(bits & 0x807f_ffff | 0x3f00_0000);
    let exponent = (bits >> 23) as f32 - 126.0;
    let low = half < std::f32::consts::FRAC_1_SQRT_2;
    if low { (half - 1.0 + half, exponent - 1.0) } else { (half - 1.0, exponent) }
}

/// A polynomial, highest power first, one fused multiply-add per step.
fn horner(x: f32, coefficients: &[f32]) -> f32 {
    coefficients.iter().copied().reduce(|sum, c| sum.mul_add(x, c)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::erf_inv;

    /// Compares a checksum of the normal samples for every 61st of the 2^23 possible uniform samples with JAX's. (All of them agree.)
    #[test]
    fn erf_inv_has_xlas_bits_everywhere() {
        let lowest = (-1f32).next_up();
        let sample = |bits: u32| {
            let unit = f32::from_bits(bits | 1f32.to_bits()) - 1.0;
            let u = unit.mul_add(1.0 - lowest, lowest).max(lowest);
            u64::from((std::f32::consts::SQRT_2 * erf_inv(u)).to_bits())
        };
        let samples = (0..1 << 23).step_by(61).map(sample).zip(1u64..);
        let sum = samples.fold(0u64, |sum, (bits, place)| sum.wrapping_add(bits.wrapping_mul(place)));
        assert_eq!(sum, 15_073_201_328_904_325_417);
    }
}
