//! Operands and results of a call as slices of their element type.

use std::slice;

use super::super::abi::api;
use super::layout::{self, Buffer};

/// An operand. `pred` is bytes, and so is `bf16` pairs of them: every pattern of bits is a value of these types.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    F32(&'a [f32]),
    S32(&'a [i32]),
    S8(&'a [i8]),
    Bf16(&'a [u16]),
    Pred(&'a [u8]),
}

/// A result. Code writes each element before it reads it; what is there before means nothing.
#[derive(Debug)]
pub enum Write<'a> {
    F32(&'a mut [f32]),
    S32(&'a mut [i32]),
    S8(&'a mut [i8]),
    Bf16(&'a mut [u16]),
    Pred(&'a mut [u8]),
}

/// # Safety
/// The buffer is an operand of a call that lasts for `'a`. Operands may overlap each other.
pub unsafe fn read<'a>(buffer: &Buffer) -> Option<Read<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        Some(match buffer.element_type {
            layout::F32 => Read::F32(shared(buffer)?),
            layout::S32 => Read::S32(shared(buffer)?),
            layout::S8 => Read::S8(shared(buffer)?),
            layout::BF16 => Read::Bf16(shared(buffer)?),
            layout::PRED => Read::Pred(shared(buffer)?),
            _ => return None,
        })
    }
}

/// XLA gives a result memory of its own: it shares an operand's with a custom call's result only where the call says
/// `output_operand_aliases`, which no call of this library does, and results of one call are different values, which live at once.
///
/// The memory may be fresh from XLA's allocator, which writes nothing there. That is memory that this code did not allocate, given by
/// machine code that was not compiled with it: to Rust it holds bytes of an unknown value, as it does after any foreign function, and
/// not uninitialized ones. All the types here take any bytes, `pred` as `u8` and not as `bool`.
///
/// # Safety
/// The buffer is a result of a call that lasts for `'a`, and nothing else uses its memory.
pub unsafe fn write<'a>(buffer: &Buffer) -> Option<Write<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        Some(match buffer.element_type {
            layout::F32 => Write::F32(unique(buffer)?),
            layout::S32 => Write::S32(unique(buffer)?),
            layout::S8 => Write::S8(unique(buffer)?),
            layout::BF16 => Write::Bf16(unique(buffer)?),
            layout::PRED => Write::Pred(unique(buffer)?),
            _ => return None,
        })
    }
}

/// Where the elements lie, and how many; `None` where they are not aligned for their type, as XLA's always are.
///
/// # Safety
/// The buffer is XLA's.
unsafe fn elements<T>(buffer: &Buffer) -> Option<(*mut T, usize)> {
    // SAFETY: the caller's promise.
    let dims = unsafe { api::slice(buffer.dims, buffer.rank as usize) };
    let (count, data) = (dims.iter().product::<i64>() as usize, buffer.data.cast::<T>());
    // No elements may lie nowhere.
    let data = if count == 0 { std::ptr::dangling_mut() } else { data };
    (!data.is_null() && data.is_aligned()).then_some((data, count))
}

/// # Safety
/// As for [`read`], and the buffer's elements are of type `T`.
unsafe fn shared<'a, T>(buffer: &Buffer) -> Option<&'a [T]> {
    // SAFETY: the caller's promise; the data is neither null nor misplaced.
    unsafe { elements(buffer).map(|(data, count)| slice::from_raw_parts(data, count)) }
}

/// # Safety
/// As for [`write`], and the buffer's elements are of type `T`.
unsafe fn unique<'a, T>(buffer: &Buffer) -> Option<&'a mut [T]> {
    // SAFETY: as above.
    unsafe { elements(buffer).map(|(data, count)| slice::from_raw_parts_mut(data, count)) }
}
