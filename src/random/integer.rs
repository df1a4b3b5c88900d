//! Random integers of every width.

use super::key::Key;

/// An integer type that [`Key::randint`] can draw.
pub trait RandomInteger: Copy + sealed::Sealed {
    /// Smallest value.
    const MIN: i128;
    /// Largest value.
    const MAX: i128;
    /// Width in bits.
    const BITS: u32;
    /// The value with these low bits.
    fn wrap(value: i128) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl sealed::Sealed for $integer {}
        impl RandomInteger for $integer {
            const MIN: i128 = <$integer>::MIN as i128;
            const MAX: i128 = <$integer>::MAX as i128;
            const BITS: u32 = <$integer>::BITS;
            fn wrap(value: i128) -> $integer {
                value as $integer
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Key {
    /// `n` integers from `min` up to but not including `max` (`jax.random.randint`).
    ///
    /// Bounds are clamped to the type's range; `max` may be one past its largest value. If `max <= min`, every draw is `min`.
    /// The bias towards small values is below span / 2³² for types of up to 32 bits.
    ///
    /// ```
    /// let draw: Vec<i32> = spiq::random::Key::new(0).randint(5, 0, 10);
    /// assert_eq!(draw, [9, 0, 2, 3, 1]);
    /// ```
    pub fn randint<T: RandomInteger>(self, n: usize, min: i128, max: i128) -> Vec<T> {
        let range = Range::new(T::BITS, (T::MIN, T::MAX), (min, max));
        let (high, low) = self.pair();
        let remainder = Remainder::new(range.width, range.span);
        let draws = high.wide(range.width, n).zip(low.wide(range.width, n));
        draws.map(|(high, low)| T::wrap(range.min + remainder.of(high, low) as i128)).collect()
    }

    fn wide(self, width: u32, n: usize) -> Box<dyn Iterator<Item = u128>> {
        match width {
            64 => Box::new(self.bits64(n).into_iter().map(u128::from)),
            _ => Box::new(self.bits32(n).into_iter().map(u128::from)),
        }
    }
}

/// Bounds clamped to an integer type.
pub(super) struct Range {
    /// Width in bits of the words drawn.
    pub(super) width: u32,
    /// Smallest value.
    pub(super) min: i128,
    /// Number of values; at least one.
    pub(super) span: u128,
}

impl Range {
    /// The values from `min` up to but not including `max`, of a type with this number of bits and these ends.
    pub(super) fn new(bits: u32, ends: (i128, i128), (min, max): (i128, i128)) -> Range {
        // Narrow types are drawn as 32-bit integers, which can represent one past their largest value.
        let (lowest, highest) = if bits < 32 { (i128::from(i32::MIN), i128::from(i32::MAX)) } else { ends };
        let (min, max) = (min.clamp(ends.0, ends.1), max.clamp(ends.0, ends.1 + 1));
        let past = max > highest;
        let (min, max) = (min.clamp(lowest, highest), max.clamp(lowest, highest));
        let span = if max <= min { 1 } else { (max - min) as u128 + u128::from(past) };
        Range { width: bits.max(32), min, span }
    }
}

/// The remainder of a double-width random number, computed in single-width wrapping arithmetic as in JAX.
pub(super) struct Remainder {
    mask: u128,
    /// Number of values; 0 for the full width.
    pub(super) span: u128,
    /// The weight of the upper word.
    pub(super) multiplier: u128,
}

impl Remainder {
    pub(super) fn new(width: u32, span: u128) -> Remainder {
        let mask = (1u128 << width) - 1;
        // A span of the full range wraps to 0; in XLA a remainder by 0 is the number itself.
        let span = span & mask;
        let root = modulo(1 << (width / 2), span);
        Remainder { mask, span, multiplier: modulo((root * root) & mask, span) }
    }

    fn of(&self, high: u128, low: u128) -> u128 {
        let scaled = (modulo(high, self.span) * self.multiplier) & self.mask;
        modulo((scaled + modulo(low, self.span)) & self.mask, self.span)
    }
}

fn modulo(value: u128, span: u128) -> u128 {
    if span == 0 { value } else { value % span }
}
