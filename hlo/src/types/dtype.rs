//! Element types: StableHLO's names, widths and value ranges.

use std::fmt;

/// The interpretation of an element's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A boolean.
    Pred,
    /// A two's complement integer.
    Signed,
    /// An unsigned integer.
    Unsigned,
    /// A floating-point number.
    Float,
}

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident $short:literal $mlir:literal $kind:ident $bits:literal;)*) => {
        /// The element type of a tensor, printed as in the StableHLO specification (`s8`, `f32`, `f8E4M3FN`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each variant is its own name in the specification")]
        pub enum DType { $($(#[$doc])* $variant,)* }

        impl DType {
            /// Every element type, in the order of the specification.
            pub const ALL: &[DType] = &[$(DType::$variant,)*];

            /// The name in messages and tables, for example `s8`.
            pub const fn name(self) -> &'static str {
                match self { $(DType::$variant => $short,)* }
            }

            /// The name in MLIR text, for example `i8`.
            pub const fn mlir(self) -> &'static str {
                match self { $(DType::$variant => $mlir,)* }
            }

            /// The interpretation of its bits.
            pub const fn kind(self) -> Kind {
                match self { $(DType::$variant => Kind::$kind,)* }
            }

            /// Width in bits on a device, where sub-byte elements are packed.
            pub const fn bits(self) -> usize {
                match self { $(DType::$variant => $bits,)* }
            }
        }
    };
}

dtypes! {
    Pred "pred" "i1" Pred 8;
    S2 "s2" "i2" Signed 2;
    S4 "s4" "i4" Signed 4;
    S8 "s8" "i8" Signed 8;
    S16 "s16" "i16" Signed 16;
    S32 "s32" "i32" Signed 32;
    S64 "s64" "i64" Signed 64;
    U2 "u2" "ui2" Unsigned 2;
    U4 "u4" "ui4" Unsigned 4;
    U8 "u8" "ui8" Unsigned 8;
    U16 "u16" "ui16" Unsigned 16;
    U32 "u32" "ui32" Unsigned 32;
    U64 "u64" "ui64" Unsigned 64;
    BF16 "bf16" "bf16" Float 16;
    F16 "f16" "f16" Float 16;
    F32 "f32" "f32" Float 32;
    F64 "f64" "f64" Float 64;
    F8E4M3FN "f8E4M3FN" "f8E4M3FN" Float 8;
    F8E5M2 "f8E5M2" "f8E5M2" Float 8;
    F4E2M1FN "f4E2M1FN" "f4E2M1FN" Float 4;
    F8E8M0FNU "f8E8M0FNU" "f8E8M0FNU" Float 8;
}

impl DType {
    /// The type with this name (`s8`, `f32`, …), if any.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.iter().copied().find(|d| d.name() == name)
    }

    /// Bytes of one element in host memory, where sub-byte elements take a byte each.
    pub const fn host_bytes(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// Whether this is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    /// Whether this is a signed or unsigned integer type.
    pub const fn is_integer(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }

    /// Smallest and largest value of an integer type (0 and 1 for `pred`); `None` for floats.
    pub const fn integer_range(self) -> Option<(i128, i128)> {
        match self.kind() {
            Kind::Float => None,
            Kind::Pred => Some((0, 1)),
            Kind::Signed => Some((-(1 << (self.bits() - 1)), (1 << (self.bits() - 1)) - 1)),
            Kind::Unsigned => Some((0, (1 << self.bits()) - 1)),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
