//! The numbers of element types in PJRT and in XLA's protocol buffers.

use spiq_hlo::DType;

use crate::error::{Error, ErrorKind, Result};

/// (type, `PJRT_Buffer_Type`, `xla.PrimitiveType`).
const NUMBERS: [(DType, i32, u64); 21] = [
    (DType::Pred, 1, 1),
    (DType::S8, 2, 2),
    (DType::S16, 3, 3),
    (DType::S32, 4, 4),
    (DType::S64, 5, 5),
    (DType::U8, 6, 6),
    (DType::U16, 7, 7),
    (DType::U32, 8, 8),
    (DType::U64, 9, 9),
    (DType::F16, 10, 10),
    (DType::F32, 11, 11),
    (DType::F64, 12, 12),
    (DType::BF16, 13, 16),
    (DType::F8E5M2, 16, 19),
    (DType::F8E4M3FN, 17, 20),
    (DType::S4, 21, 21),
    (DType::U4, 22, 22),
    (DType::S2, 24, 26),
    (DType::U2, 25, 27),
    (DType::F8E8M0FNU, 28, 33),
    (DType::F4E2M1FN, 29, 32),
];

/// PJRT's number for an element type.
pub fn to_pjrt(dtype: DType) -> i32 {
    NUMBERS.iter().find(|(own, ..)| *own == dtype).expect("every element type has a number").1
}

/// The element type with this PJRT number.
///
/// # Errors
/// A complex number, a token or another unsupported type.
pub fn from_pjrt(number: i32) -> Result<DType> {
    let found = NUMBERS.iter().find(|(_, pjrt, _)| *pjrt == number).map(|(dtype, ..)| *dtype);
    found.ok_or_else(|| unknown(u64::try_from(number).unwrap_or_default()))
}

/// The element type with this XLA number.
///
/// # Errors
/// As [`from_pjrt`].
pub fn from_xla(number: u64) -> Result<DType> {
    let found = NUMBERS.iter().find(|(.., xla)| *xla == number).map(|(dtype, ..)| *dtype);
    found.ok_or_else(|| unknown(number))
}

fn unknown(number: u64) -> Error {
    Error::new(
        ErrorKind::Pjrt(12),
        format!("a program has inputs or outputs of an unsupported element type (number {number})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_number() {
        for &dtype in DType::ALL {
            assert_eq!(from_pjrt(to_pjrt(dtype)).expect("a known number"), dtype);
        }
    }
}
