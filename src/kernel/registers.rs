//! The values of one step for a block of lanes, and the instructions on them. Knows nothing of memory and time.

use spiq_hlo::LaneOp;

use super::memory::each;

/// Lanes of a block. A program's registers stay in the first-level cache, and the choice of an instruction is paid by many
/// lanes.
pub(super) const WIDTH: usize = 256;

/// One value for each lane of a block, aligned to a cache line.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Register(pub(super) [f32; WIDTH]);

impl Register {
    pub(super) fn filled(value: f32) -> Register {
        Register([value; WIDTH])
    }
}

/// One instruction for a block: all slices have one length.
#[inline(always)]
pub(super) fn apply(op: LaneOp, to: &mut [f32], [a, b, c]: [&[f32]; 3]) {
    match op {
        LaneOp::Add => two(to, a, b, |a, b| a + b),
        LaneOp::Subtract => two(to, a, b, |a, b| a - b),
        LaneOp::Multiply => two(to, a, b, |a, b| a * b),
        LaneOp::Divide => two(to, a, b, |a, b| a / b),
        LaneOp::Maximum => two(to, a, b, |a, b| if a > b || a.is_nan() { a } else { b }),
        LaneOp::Minimum => two(to, a, b, |a, b| if a < b || a.is_nan() { a } else { b }),
        LaneOp::MultiplyAdd => three(to, a, b, c, |a, b, c| a.mul_add(b, c)),
        LaneOp::MultiplySubtract => three(to, a, b, c, |a, b, c| a.mul_add(b, -c)),
        LaneOp::SubtractMultiply => three(to, a, b, c, |a, b, c| (-a).mul_add(b, c)),
        LaneOp::Abs => each(to, a, f32::abs),
        LaneOp::Negate => each(to, a, |a: f32| -a),
        LaneOp::Sign => each(to, a, |a: f32| if a == 0.0 || a.is_nan() { a } else { 1f32.copysign(a) }),
        LaneOp::Sqrt => each(to, a, f32::sqrt),
        LaneOp::Floor => each(to, a, f32::floor),
        LaneOp::Ceil => each(to, a, f32::ceil),
        LaneOp::RoundEven => each(to, a, f32::round_ties_even),
        LaneOp::RoundBf16 => each(to, a, round_bf16),
        // `as` saturates and takes NaN to 0.
        LaneOp::TruncateS8 => each(to, a, |a: f32| (a as i32).clamp(-128, 127) as f32),
        LaneOp::Equal => two(to, a, b, |a, b| one(a == b)),
        LaneOp::NotEqual => two(to, a, b, |a, b| one(a != b)),
        LaneOp::GreaterEqual => two(to, a, b, |a, b| one(a >= b)),
        LaneOp::Greater => two(to, a, b, |a, b| one(a > b)),
        LaneOp::LessEqual => two(to, a, b, |a, b| one(a <= b)),
        LaneOp::Less => two(to, a, b, |a, b| one(a < b)),
        LaneOp::And => two(to, a, b, |a, b| a * b),
        LaneOp::Or => two(to, a, b, |a, b| a + b - a * b),
        LaneOp::Xor => two(to, a, b, |a, b| one(a != b)),
        LaneOp::Not => each(to, a, |a: f32| 1.0 - a),
        LaneOp::Select => three(to, a, b, c, |a, b, c| if a != 0.0 { b } else { c }),
        LaneOp::Copy => to.copy_from_slice(a),
    }
}

#[inline(always)]
fn one(condition: bool) -> f32 {
    if condition { 1.0 } else { 0.0 }
}

/// The nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    f32::from_bits(if x.is_nan() { (bits | 0x0040_0000) & 0xffff_0000 } else { rounded })
}

#[inline(always)]
fn two(to: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to = f(*a, *b);
    }
}

#[inline(always)]
fn three(to: &mut [f32], a: &[f32], b: &[f32], c: &[f32], f: impl Fn(f32, f32, f32) -> f32) {
    for (((to, a), b), c) in to.iter_mut().zip(a).zip(b).zip(c) {
        *to = f(*a, *b, *c);
    }
}
