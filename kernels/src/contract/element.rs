//! Permanent numbers of the element types in encoded programs.

use spiq_hlo::DType;

/// Numbers never change, because caches contain programs with them. A new type takes the next number.
const NUMBERS: &[(i64, DType)] = &[
    (0, DType::Pred),
    (1, DType::S2),
    (2, DType::S4),
    (3, DType::S8),
    (4, DType::S16),
    (5, DType::S32),
    (6, DType::S64),
    (7, DType::U2),
    (8, DType::U4),
    (9, DType::U8),
    (10, DType::U16),
    (11, DType::U32),
    (12, DType::U64),
    (13, DType::BF16),
    (14, DType::F16),
    (15, DType::F32),
    (16, DType::F64),
    (17, DType::F8E4M3FN),
    (18, DType::F8E5M2),
    (19, DType::F4E2M1FN),
    (20, DType::F8E8M0FNU),
];

/// The number of an element type.
pub fn number(dtype: DType) -> i64 {
    NUMBERS.iter().find(|(_, of)| *of == dtype).expect("every type has a number").0
}

/// The element type with this number, if any.
pub fn from_number(number: i64) -> Option<DType> {
    NUMBERS.iter().find(|(of, _)| *of == number).map(|(_, dtype)| *dtype)
}
