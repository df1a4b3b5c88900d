//! The instructions of lane programs, with numbers and names.

use spiq_hlo::LaneFn;

use crate::instructions::instructions;

macro_rules! lane_ops {
    (@truth truth) => {
        true
    };
    (@truth number) => {
        false
    };
    ($($(#[$doc:meta])* $number:literal $op:ident $name:literal $gives:ident [$($function:ident)?] |$($operand:ident),*| $value:expr,
        $text:expr;)*) => {
        /// The operation of an instruction. Each rounds once, as IEEE 754 requires, except the exponential.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LaneOp { $($(#[$doc])* $op,)* }

        impl LaneOp {
            /// Every instruction.
            pub const ALL: &[LaneOp] = &[$(LaneOp::$op,)*];

            /// Number of operands.
            pub const fn operands(self) -> usize {
                match self { $(LaneOp::$op => [$(stringify!($operand)),*].len(),)* }
            }

            /// The number in encoded programs.
            pub const fn number(self) -> i64 {
                match self { $(LaneOp::$op => $number,)* }
            }

            /// The name in printed programs.
            pub const fn name(self) -> &'static str {
                match self { $(LaneOp::$op => $name,)* }
            }

            /// Whether the result is always 1 or 0.
            pub const fn is_truth(self) -> bool {
                match self { $(LaneOp::$op => lane_ops!(@truth $gives),)* }
            }

            /// The instruction with this number, if any.
            pub const fn from_number(number: i64) -> Option<LaneOp> {
                match number { $($number => Some(LaneOp::$op),)* _ => None }
            }
        }

        impl From<LaneFn> for LaneOp {
            fn from(function: LaneFn) -> LaneOp {
                match function { $($(LaneFn::$function => LaneOp::$op,)?)* }
            }
        }
    };
}

instructions!(lane_ops);

impl LaneOp {
    /// The instruction with this name, if any.
    pub fn from_name(name: &str) -> Option<LaneOp> {
        LaneOp::ALL.iter().copied().find(|op| op.name() == name)
    }
}
