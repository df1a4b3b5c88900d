//! Arrays of the element types that kernels read and write, with conversions of rows to and from f32.

use spiq_hlo::DType;

use super::registers::small_integer;
use crate::vector::InstructionSet;

/// An input array.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// Elements of f32.
    F32(&'a [f32]),
    /// Elements of s32.
    S32(&'a [i32]),
    /// Elements of s8.
    S8(&'a [i8]),
    /// The upper halves of f32.
    Bf16(&'a [u16]),
    /// 0 or 1.
    Pred(&'a [u8]),
}

impl<'a> Read<'a> {
    /// The element type.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Read::F32(_) => DType::F32,
            Read::S32(_) => DType::S32,
            Read::S8(_) => DType::S8,
            Read::Bf16(_) => DType::BF16,
            Read::Pred(_) => DType::Pred,
        }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        match self {
            Read::F32(a) => a.len(),
            Read::S32(a) => a.len(),
            Read::S8(a) => a.len(),
            Read::Bf16(a) => a.len(),
            Read::Pred(a) => a.len(),
        }
    }

    /// The elements, if they are f32.
    #[inline(always)]
    pub(super) fn as_f32(&self) -> Option<&'a [f32]> {
        match self {
            Read::F32(a) => Some(a),
            _ => None,
        }
    }

    /// Starts to load `count` elements into the caches.
    #[inline(always)]
    pub(super) fn prefetch(&self, set: impl InstructionSet, first: usize, count: usize) {
        match self {
            Read::F32(a) => set.prefetch(&a[first..][..count]),
            Read::S32(a) => set.prefetch(&a[first..][..count]),
            Read::S8(a) => set.prefetch(&a[first..][..count]),
            Read::Bf16(a) => set.prefetch(&a[first..][..count]),
            Read::Pred(a) => set.prefetch(&a[first..][..count]),
        }
    }

    /// `W` elements starting at `first`, converted to f32.
    #[inline(always)]
    pub(super) fn load<const W: usize>(&self, first: usize, to: &mut [f32; W]) {
        match self {
            Read::F32(a) => convert(to, &a[first..], |x| x),
            Read::S32(a) => convert(to, &a[first..], |x| x as f32),
            Read::S8(a) => convert(to, &a[first..], f32::from),
            Read::Bf16(a) => convert(to, &a[first..], widened),
            Read::Pred(a) => convert(to, &a[first..], |x| f32::from(u8::from(x != 0))),
        }
    }
}

/// A bf16 number, the upper half of f32, as f32.
#[inline(always)]
pub(super) fn widened(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// An output array, or a part of one.
#[derive(Debug)]
pub enum Write<'a> {
    /// Elements of f32.
    F32(&'a mut [f32]),
    /// Elements of s32.
    S32(&'a mut [i32]),
    /// Elements of s8.
    S8(&'a mut [i8]),
    /// The upper halves of f32.
    Bf16(&'a mut [u16]),
    /// 0 or 1.
    Pred(&'a mut [u8]),
}

impl<'a> Write<'a> {
    /// The element type.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Write::F32(_) => DType::F32,
            Write::S32(_) => DType::S32,
            Write::S8(_) => DType::S8,
            Write::Bf16(_) => DType::BF16,
            Write::Pred(_) => DType::Pred,
        }
    }

    /// Whether it has no elements.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        match self {
            Write::F32(a) => a.len(),
            Write::S32(a) => a.len(),
            Write::S8(a) => a.len(),
            Write::Bf16(a) => a.len(),
            Write::Pred(a) => a.len(),
        }
    }

    /// Splits it after the first `count` elements.
    pub(super) fn split(self, count: usize) -> (Write<'a>, Write<'a>) {
        macro_rules! split {
            ($($kind:ident)*) => {
                match self {
                    $(Write::$kind(a) => {
                        let (first, rest) = a.split_at_mut(count);
                        (Write::$kind(first), Write::$kind(rest))
                    })*
                }
            };
        }
        split!(F32 S32 S8 Bf16 Pred)
    }

    /// Starts to load `count` elements into the caches, where they will be overwritten.
    #[inline(always)]
    pub(super) fn prefetch(&self, set: impl InstructionSet, first: usize, count: usize) {
        match self {
            Write::F32(a) => set.prefetch(&a[first..][..count]),
            Write::S32(a) => set.prefetch(&a[first..][..count]),
            Write::S8(a) => set.prefetch(&a[first..][..count]),
            Write::Bf16(a) => set.prefetch(&a[first..][..count]),
            Write::Pred(a) => set.prefetch(&a[first..][..count]),
        }
    }

    /// Writes values that are exact in the element type, starting at `first`.
    #[inline(always)]
    pub(super) fn store<const W: usize>(&mut self, first: usize, from: &[f32; W]) {
        match self {
            Write::F32(a) => convert(chunk::<_, W>(a, first), from, |x| x),
            Write::S32(a) => convert(chunk::<_, W>(a, first), from, |x| x as i32),
            Write::S8(a) => convert(chunk::<_, W>(a, first), from, |x| small_integer(x) as i8),
            Write::Bf16(a) => convert(chunk::<_, W>(a, first), from, |x| (x.to_bits() >> 16) as u16),
            Write::Pred(a) => convert(chunk::<_, W>(a, first), from, |x| u8::from(x != 0.0)),
        }
    }
}

#[inline(always)]
fn chunk<T, const W: usize>(array: &mut [T], first: usize) -> &mut [T; W] {
    array[first..].first_chunk_mut().expect("sizes were checked before")
}

#[inline(always)]
fn convert<A: Copy, B, const W: usize>(to: &mut [B; W], from: &[A], f: impl Fn(A) -> B) {
    let from: &[A; W] = from.first_chunk().expect("sizes were checked before");
    for i in 0..W {
        to[i] = f(from[i]);
    }
}
