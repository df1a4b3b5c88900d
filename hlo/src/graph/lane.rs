//! Elementwise operations as plain data: the computation of one lane, that is, of one element of each operand.

use crate::types::dtype::DType;

/// A function of single elements, numbers or booleans. On booleans, `Add` is `Or` and `Multiply` is `And`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the operation of this name in the specification")]
pub enum LaneFn {
    Add,
    Subtract,
    Multiply,
    Divide,
    Maximum,
    Minimum,
    Abs,
    Negate,
    Sign,
    Sqrt,
    Exponential,
    Floor,
    Ceil,
    RoundNearestEven,
    Equal,
    NotEqual,
    GreaterEqual,
    Greater,
    LessEqual,
    Less,
    And,
    Or,
    Xor,
    Not,
    Select,
}

/// An expression over one element of each operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Lane {
    /// The element of the operand with this index.
    Operand(usize),
    /// A number, the same in all lanes.
    Number(f32),
    /// The value converted to another element type.
    Convert(Box<Lane>, DType),
    /// The value behind a barrier: rounded to its type, and never fused with the operation that computes it.
    Barrier(Box<Lane>),
    /// A function applied to values.
    Apply(LaneFn, Vec<Lane>),
}

impl Lane {
    /// A function of these values.
    ///
    /// ```
    /// use spiq_hlo::{Lane, LaneFn};
    /// let relu = Lane::of(LaneFn::Maximum, [Lane::Operand(0), Lane::Number(0.0)]);
    /// assert!(matches!(relu, Lane::Apply(LaneFn::Maximum, _)));
    /// ```
    pub fn of(function: LaneFn, values: impl IntoIterator<Item = Lane>) -> Lane {
        Lane::Apply(function, values.into_iter().collect())
    }
}
