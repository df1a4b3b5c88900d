//! The values of one step for a block of lanes, and the instructions on them.

use crate::contract::lane_op::LaneOp;
use crate::instructions::instructions;

/// Lanes per block. A program's registers stay in the L1 cache, and instruction dispatch is amortized over many lanes.
pub(super) const WIDTH: usize = 256;

/// Lanes per block at the end of a row whose length is not a multiple of `WIDTH`.
pub(super) const NARROW: usize = 16;

/// One value for each lane of a block, aligned to a cache line.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Register([f32; WIDTH]);

impl Register {
    pub(super) fn filled(value: f32) -> Register {
        Register([value; WIDTH])
    }

    /// The first `W` lanes; `W` is at most `WIDTH`.
    #[inline(always)]
    pub(super) fn lanes<const W: usize>(&self) -> &[f32; W] {
        self.0.first_chunk().expect("a block is no wider than a register")
    }

    #[inline(always)]
    pub(super) fn lanes_mut<const W: usize>(&mut self) -> &mut [f32; W] {
        self.0.first_chunk_mut().expect("a block is no wider than a register")
    }
}

macro_rules! loops {
    (@loop $to:ident [$x:ident $y:ident $z:ident] |$a:ident| $value:expr) => {
        one_of($to, $x, |$a: f32| $value)
    };
    (@loop $to:ident [$x:ident $y:ident $z:ident] |$a:ident, $b:ident| $value:expr) => {
        two($to, $x, $y, |$a: f32, $b: f32| $value)
    };
    (@loop $to:ident [$x:ident $y:ident $z:ident] |$a:ident, $b:ident, $c:ident| $value:expr) => {
        three($to, $x, $y, $z, |$a: f32, $b: f32, $c: f32| $value)
    };
    ($($(#[$doc:meta])* $number:literal $op:ident $name:literal $gives:ident [$($function:ident)?] |$($operand:ident),*| $value:expr,
        $text:expr;)*) => {
        /// Executes one instruction for a block of `W` lanes. `W` is a compile-time constant, so there are no bounds checks or remainder
        /// loops.
        #[inline(always)]
        pub(super) fn apply<const W: usize>(op: LaneOp, to: &mut [f32; W], [x, y, z]: [&[f32; W]; 3]) {
            match op { $(LaneOp::$op => loops!(@loop to [x y z] |$($operand),*| $value),)* }
        }
    };
}

instructions!(loops);

#[inline(always)]
fn one(condition: bool) -> f32 {
    if condition { 1.0 } else { 0.0 }
}

/// The larger, 0 above -0, NaN if one is: IEEE 754's `maximum`, as XLA computes it. Written to match the CPU's instruction, which
/// returns its second operand if the operands are equal or one is NaN; a nonnegative operand comes second.
#[inline(always)]
fn maximum(a: f32, b: f32) -> f32 {
    let (x, y) = if a.is_sign_negative() { (a, b) } else { (b, a) };
    let larger = if x > y { x } else { y };
    if x.is_nan() { x } else { larger }
}

/// The smaller, -0 below 0, NaN if one is: IEEE 754's `minimum`.
#[inline(always)]
fn minimum(a: f32, b: f32) -> f32 {
    let (x, y) = if a.is_sign_negative() { (b, a) } else { (a, b) };
    let smaller = if x < y { x } else { y };
    if x.is_nan() { x } else { smaller }
}

/// XLA's threads flush denormals to zero, so zero is written explicitly.
#[inline(always)]
fn sign(a: f32) -> f32 {
    let magnitude = if a == 0.0 { 0.0f32 } else { 1.0 };
    if a.is_nan() { a } else { magnitude.copysign(a) }
}

/// `e^x`: a polynomial between ±ln(2)/2 (Cephes' `expf`), times a power of two.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const POLYNOMIAL: [f32; 5] = [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    // Outside this range the result is infinite or zero.
    let x = x.clamp(-105.0, 89.0);
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    // The logarithm of 2 in two parts; n times the first is exact.
    let r = n.mul_add(2.121_944_4e-4, n.mul_add(-0.693_359_4, x));
    let tail = POLYNOMIAL.iter().fold(1.987_569_1e-4f32, |sum, c| sum.mul_add(r, *c));
    let y = tail.mul_add(r * r, r) + 1.0;
    // In two factors, because one alone may overflow where the result does not.
    let n = small_integer(n);
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    y * power(half) * power(n.wrapping_sub(half))
}

/// The value of a whole number between ±2²², and any value for other numbers. Adding 1.5·2²³ moves the number into the low mantissa bits.
/// `as` would test whether the result is in range, which compilers do one element at a time.
#[inline(always)]
pub(super) fn small_integer(x: f32) -> i32 {
    const LARGE: f32 = 12_582_912.0;
    (x + LARGE).to_bits().wrapping_sub(LARGE.to_bits()) as i32
}

/// XLA's conversion to s8 and back.
#[inline(always)]
fn truncate_s8(a: f32) -> f32 {
    let below = if a > 127.0 { 127.0 } else { a };
    let inside = if below < -128.0 { -128.0 } else { below };
    // Adding 0 turns -0 into 0.
    (if inside.is_nan() { 0.0 } else { inside }).trunc() + 0.0
}

/// The nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { (bits | 0x0040_0000) & 0xffff_0000 } else { rounded })
}

#[inline(always)]
fn one_of<const W: usize>(to: &mut [f32; W], a: &[f32; W], f: impl Fn(f32) -> f32) {
    for i in 0..W {
        to[i] = f(a[i]);
    }
}

#[inline(always)]
fn two<const W: usize>(to: &mut [f32; W], a: &[f32; W], b: &[f32; W], f: impl Fn(f32, f32) -> f32) {
    for i in 0..W {
        to[i] = f(a[i], b[i]);
    }
}

#[inline(always)]
fn three<const W: usize>(
    to: &mut [f32; W],
    a: &[f32; W],
    b: &[f32; W],
    c: &[f32; W],
    f: impl Fn(f32, f32, f32) -> f32,
) {
    for i in 0..W {
        to[i] = f(a[i], b[i], c[i]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(op: LaneOp, operands: [f32; 3]) -> f32 {
        let [a, b, c] = operands.map(|x| [x; 5]);
        let mut to = [0.25; 5];
        apply::<5>(op, &mut to, [&a, &b, &c]);
        assert!(to.iter().all(|x| x.to_bits() == to[0].to_bits()));
        to[0]
    }

    #[test]
    fn arithmetic_rounds_once() {
        let (a, b, c) = (1.1f32, 1.3f32, -1.43f32);
        assert_eq!(run(LaneOp::MultiplyAdd, [a, b, c]), (f64::from(a) * f64::from(b) + f64::from(c)) as f32);
        assert_ne!(run(LaneOp::MultiplyAdd, [a, b, c]), a * b + c);
        assert_eq!(run(LaneOp::MultiplySubtract, [a, b, c]), (f64::from(a) * f64::from(b) - f64::from(c)) as f32);
        assert_eq!(run(LaneOp::SubtractMultiply, [a, b, c]), (f64::from(c) - f64::from(a) * f64::from(b)) as f32);
        assert_eq!(run(LaneOp::Divide, [a, b, c]), a / b);
    }

    #[test]
    fn a_nan_stays_one() {
        for op in [LaneOp::Maximum, LaneOp::Minimum] {
            for nan in [f32::NAN, -f32::NAN] {
                let pairs = [[nan, 1.0], [1.0, nan], [nan, -1.0], [-1.0, nan], [nan, nan], [nan, f32::INFINITY]];
                assert!(pairs.iter().all(|[a, b]| run(op, [*a, *b, 0.0]).is_nan()), "{op:?}");
            }
        }
        assert!(
            [LaneOp::Sign, LaneOp::RoundBf16, LaneOp::Exponential].iter().all(|op| run(*op, [f32::NAN; 3]).is_nan())
        );
        assert_eq!(run(LaneOp::Greater, [f32::NAN, 0.0, 0.0]), 0.0);
        assert_eq!(run(LaneOp::NotEqual, [f32::NAN, f32::NAN, 0.0]), 1.0);
    }

    #[test]
    fn zeros_have_an_order() {
        for (a, b) in [(0.0f32, -0.0f32), (-0.0, 0.0)] {
            assert!(run(LaneOp::Maximum, [a, b, 0.0]).is_sign_positive());
            assert!(run(LaneOp::Minimum, [a, b, 0.0]).is_sign_negative());
        }
        assert_eq!(run(LaneOp::Maximum, [-1.0, -2.0, 0.0]), -1.0);
        assert_eq!(run(LaneOp::Minimum, [-1.0, -2.0, 0.0]), -2.0);
    }

    #[test]
    fn booleans_are_zero_and_one() {
        for (a, b) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
            let (x, y) = (a != 0.0, b != 0.0);
            assert_eq!(run(LaneOp::And, [a, b, a]), one(x && y));
            assert_eq!(run(LaneOp::Or, [a, b, a]), one(x || y));
            assert_eq!(run(LaneOp::Xor, [a, b, a]), one(x != y));
            assert_eq!(run(LaneOp::Not, [a, b, a]), one(!x));
            assert_eq!(run(LaneOp::Select, [a, 5.0, 7.0]), if x { 5.0 } else { 7.0 });
        }
    }

    #[test]
    fn narrow_types_are_rounded_to() {
        for x in [1.0, 1.003_906_3, 1.011_718_8, -2.345_678_9, 3.4e38, f32::INFINITY, 0.0] {
            assert_eq!(run(LaneOp::RoundBf16, [x; 3]), half::bf16::from_f32(x).to_f32(), "{x}");
        }
        let far = [(300.0, 127.0), (-300.0, -128.0), (f32::INFINITY, 127.0), (f32::NEG_INFINITY, -128.0)];
        for (x, y) in [[(1.9, 1.0f32), (-1.9, -1.0), (-0.9, 0.0), (f32::NAN, 0.0)], far].concat() {
            assert_eq!(run(LaneOp::TruncateS8, [x; 3]).to_bits(), y.to_bits(), "{x}");
        }
    }

    #[test]
    fn the_exponential_is_close() {
        for i in -1040..890 {
            let x = i as f32 * 0.1;
            let (is, wanted) = (run(LaneOp::Exponential, [x; 3]), f64::from(x).exp());
            let unit = if wanted < f64::from(f32::MIN_POSITIVE) { 1.5e-45 } else { wanted * 1.2e-7 };
            let off = if wanted > f64::from(f32::MAX) { 0.0 } else { (f64::from(is) - wanted).abs() / unit };
            assert!(off <= 2.0, "e^{x} is {is:e}, not {wanted:e}");
        }
        assert_eq!(run(LaneOp::Exponential, [0.0; 3]), 1.0);
        assert_eq!(run(LaneOp::Exponential, [f32::INFINITY; 3]), f32::INFINITY);
        assert_eq!(run(LaneOp::Exponential, [f32::NEG_INFINITY; 3]), 0.0);
    }
}
