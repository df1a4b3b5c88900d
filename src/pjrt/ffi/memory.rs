//! Operands and results of a call as slices of their element type.

use std::slice;

use super::super::abi::api;
use super::layout::{self, Buffer};

/// An operand. `pred` is read as bytes and `bf16` as `u16`, so every bit pattern is valid.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    F32(&'a [f32]),
    S32(&'a [i32]),
    S8(&'a [i8]),
    Bf16(&'a [u16]),
    Pred(&'a [u8]),
}

/// A result. Handlers write each element before they read it; the initial contents are meaningless.
#[derive(Debug)]
pub enum Write<'a> {
    F32(&'a mut [f32]),
    S32(&'a mut [i32]),
    S8(&'a mut [i8]),
    Bf16(&'a mut [u16]),
    Pred(&'a mut [u8]),
}

macro_rules! bytes {
    ($kind:ident) => {
        impl $kind<'_> {
            /// Its size in bytes.
            pub(super) fn bytes(&self) -> u64 {
                let size = match self {
                    $kind::F32(a) => size_of::<f32>() * a.len(),
                    $kind::S32(a) => size_of::<i32>() * a.len(),
                    $kind::S8(a) => a.len(),
                    $kind::Bf16(a) => size_of::<u16>() * a.len(),
                    $kind::Pred(a) => a.len(),
                };
                size as u64
            }
        }
    };
}

bytes!(Read);
bytes!(Write);

/// # Safety
/// The buffer is an operand of a call that lasts for `'a`. Operands may overlap.
pub unsafe fn read<'a>(buffer: &Buffer) -> Option<Read<'a>> {
    // SAFETY: guaranteed by the caller.
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

/// XLA allocates separate memory for each result: a custom call's result aliases an operand only if the call has
/// `output_operand_aliases`, which this library never sets, and the results of one call are distinct values that are live at once.
///
/// The memory may come fresh from XLA's allocator, which does not write to it. This code did not allocate it, and the machine code
/// that passes it was not compiled with this code: to Rust it contains bytes of unknown value, as after any foreign function,
/// rather than uninitialized ones. All types here accept any bytes, since `pred` is `u8` rather than `bool`.
///
/// # Safety
/// The buffer is a result of a call that lasts for `'a`, and nothing else uses its memory.
pub unsafe fn write<'a>(buffer: &Buffer) -> Option<Write<'a>> {
    // SAFETY: guaranteed by the caller.
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

/// Pointer and number of the elements; `None` if they are not aligned for their type, as XLA's always are.
///
/// # Safety
/// The buffer is XLA's.
unsafe fn elements<T>(buffer: &Buffer) -> Option<(*mut T, usize)> {
    // SAFETY: guaranteed by the caller.
    let dims = unsafe { api::slice(buffer.dims, buffer.rank as usize) };
    let (count, data) = (dims.iter().product::<i64>() as usize, buffer.data.cast::<T>());
    // The pointer of an empty buffer may be null.
    let data = if count == 0 { std::ptr::dangling_mut() } else { data };
    (!data.is_null() && data.is_aligned()).then_some((data, count))
}

/// # Safety
/// As for [`read`], and the buffer's elements are of type `T`.
unsafe fn shared<'a, T>(buffer: &Buffer) -> Option<&'a [T]> {
    // SAFETY: guaranteed by the caller; the pointer is neither null nor misaligned.
    unsafe { elements(buffer).map(|(data, count)| slice::from_raw_parts(data, count)) }
}

/// # Safety
/// As for [`write`], and the buffer's elements are of type `T`.
unsafe fn unique<'a, T>(buffer: &Buffer) -> Option<&'a mut [T]> {
    // SAFETY: as above.
    unsafe { elements(buffer).map(|(data, count)| slice::from_raw_parts_mut(data, count)) }
}
