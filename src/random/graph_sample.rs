//! Samples from a key inside a traced program: uniform, normal, Bernoulli, integers, permutations.

use std::f32::consts::SQRT_2;

use spiq_hlo::{DType, Operand, Tensor, TensorType, Violation, sort};

use super::graph::GraphKey;
use super::integer::{Range, Remainder};
use super::sample::rounds;
use super::special::{CENTRAL, TAIL, erf};

/// Draws of `f32`, booleans and integers. The values equal those that [`Key`](super::Key) draws on the host, except in the last
/// place of normal samples: XLA forms fused multiply-adds depending on the whole program.
impl GraphKey {
    /// Numbers in [min, max) (`jax.random.uniform`).
    #[track_caller]
    pub fn uniform(&self, dims: &[usize], min: f32, max: f32) -> Tensor {
        // The bits become the mantissa of a number in [1, 2).
        let mantissa = self.bits(DType::U32, dims).shift_right_logical(9.0).or(f64::from(1f32.to_bits()));
        let unit = mantissa.bitcast_convert(DType::F32) - 1.0;
        if (min, max) == (0.0, 1.0) {
            return unit;
        }
        (unit * f64::from(max - min) + f64::from(min)).maximum(f64::from(min))
    }

    /// Samples from the standard normal distribution (`jax.random.normal`).
    #[track_caller]
    pub fn normal(&self, dims: &[usize]) -> Tensor {
        // Starts just above -1, where the inverse is infinite.
        erf_inv(&self.uniform(dims, (-1f32).next_up(), 1.0)) * f64::from(SQRT_2)
    }

    /// Samples from the standard normal distribution truncated to the open interval from `lower` to `upper`
    /// (`jax.random.truncated_normal`). NaN if the interval is empty.
    #[track_caller]
    pub fn truncated_normal(&self, dims: &[usize], lower: f32, upper: f32) -> Tensor {
        const RECIPROCAL: f32 = 1.0 / SQRT_2;
        let uniform = self.uniform(dims, erf(lower * RECIPROCAL), erf(upper * RECIPROCAL));
        if lower >= upper {
            return uniform * f64::NAN;
        }
        let (first, last) = (f64::from(lower.next_up()), f64::from(upper.next_down()));
        (erf_inv(&uniform) * f64::from(SQRT_2)).maximum(first).minimum(last)
    }

    /// Booleans that are true with probability `p`, a number or an `f32` tensor that broadcasts to `dims`
    /// (`jax.random.bernoulli`).
    #[track_caller]
    pub fn bernoulli(&self, dims: &[usize], p: impl Operand) -> Tensor {
        let uniform = self.uniform(dims, 0.0, 1.0);
        uniform.lt(p.beside(&uniform).broadcast_to(dims))
    }

    /// Integers from `min` up to but not including `max`, of a type of at most 32 bits (`jax.random.randint`).
    ///
    /// Bounds are clamped to the type's range; `max` may be one past its largest value. If `max <= min`, every draw is `min`.
    #[track_caller]
    pub fn randint(&self, dtype: DType, dims: &[usize], min: i128, max: i128) -> Tensor {
        let ends = match dtype.integer_range() {
            Some(ends) if dtype.is_integer() && (8..=32).contains(&dtype.bits()) => ends,
            _ => return self.fail(format!("draws integers of 8 to 32 bits, not {dtype}")),
        };
        let range = Range::new(dtype.bits() as u32, ends, (min, max));
        let remainder = Remainder::new(range.width, range.span);
        let (high, low) = self.pair();
        let [high, low] = [high, low].map(|key| modulo(&key.bits(DType::U32, dims), remainder.span));
        let drawn = modulo(&(high * remainder.multiplier as f64 + low), remainder.span);
        let shifted = drawn + f64::from(range.min as u32);
        // The sum wraps; reinterpreted as signed, it is the correct value if that is negative.
        let wide = if ends.0 < 0 { shifted.bitcast_convert(DType::S32) } else { shifted };
        wide.convert(dtype)
    }

    /// The numbers below `n` in random order, `s32[n]` (`jax.random.permutation`).
    #[track_caller]
    pub fn permutation(&self, n: usize) -> Tensor {
        let mut key = self.clone();
        let mut order = key.graph().iota(TensorType::new(DType::S32, [n]), 0);
        for _ in 0..rounds(n) {
            let (next, words) = key.pair();
            order = sort(&[&words.bits(DType::U32, &[n]), &order], 0, 1).swap_remove(1);
            key = next;
        }
        order
    }

    #[track_caller]
    fn fail(&self, message: String) -> Tensor {
        self.graph().fail("randint", Violation::new("", message))
    }
}

/// The remainder; a span of 0 means the width of the type, so the number is returned unchanged.
#[track_caller]
fn modulo(x: &Tensor, span: u128) -> Tensor {
    if span == 0 { x.clone() } else { x.rem(span as f64) }
}

/// The inverse error function in `f32`, identical to the host's (`special.rs`).
#[track_caller]
fn erf_inv(x: &Tensor) -> Tensor {
    let w = (x * x.negate()).log1p().negate();
    let central = w.lt(5.0);
    let w = central.select(&(&w - 2.5), &(w.sqrt() - 3.0));
    let mut pairs = CENTRAL
        .iter()
        .zip(&TAIL)
        .map(|(&c, &t)| central.select(&x.full_like(f64::from(c)), &x.full_like(f64::from(t))));
    let first = pairs.next().expect("nine coefficients");
    let factor = pairs.fold(first, |sum, c| c + sum * &w);
    x.abs().eq(1.0).select(&(x * f64::INFINITY), &(factor * x))
}
