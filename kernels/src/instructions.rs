//! The table of instructions, with everything about an instruction in one row. The contract derives `LaneOp` from it, the
//! interpreter its arithmetic, the printers for accelerators its text.
//!
//! A row contains: number, name in Rust, name in text, whether the result is a number or a truth value (always 1 or 0), the corresponding
//! `LaneFn` (if any), the arithmetic on f32 (booleans are 0 and 1), and the text: a function that each printer of text defines
//! (`backends/triton/instruction.rs`, `backends/mosaic/instruction.rs`). Numbers never change, because caches contain programs with them. A new row takes the next number.

/// Passes the table to a macro.
macro_rules! instructions {
    ($with:ident) => {
        $with! {
            /// `a + b`
            0 Add "add" number [Add] |a, b| a + b, numbers("arith.addf");
            /// `a - b`
            1 Subtract "subtract" number [Subtract] |a, b| a - b, numbers("arith.subf");
            /// `a b`
            2 Multiply "multiply" number [Multiply] |a, b| a * b, numbers("arith.mulf");
            /// `a / b`. Triton's default division is approximate.
            3 Divide "divide" number [Divide] |a, b| a / b, divide;
            /// The larger, 0 above -0, NaN if one is.
            4 Maximum "maximum" number [Maximum] |a, b| maximum(a, b), numbers("arith.maximumf");
            /// The smaller, -0 below 0, NaN if one is.
            5 Minimum "minimum" number [Minimum] |a, b| minimum(a, b), numbers("arith.minimumf");
            /// `a b + c`, rounded once.
            6 MultiplyAdd "multiply_add" number [] |a, b, c| a.mul_add(b, c), multiply_add;
            /// `a b - c`, rounded once.
            7 MultiplySubtract "multiply_subtract" number [] |a, b, c| a.mul_add(b, -c), multiply_subtract;
            /// `c - a b`, rounded once.
            8 SubtractMultiply "subtract_multiply" number [] |a, b, c| (-a).mul_add(b, c), subtract_multiply;
            /// `|a|`
            9 Abs "abs" number [Abs] |a| a.abs(), numbers("math.absf");
            /// `-a`
            10 Negate "negate" number [Negate] |a| -a, negate;
            /// -1, 0 or 1 (0 and NaN are unchanged).
            11 Sign "sign" number [Sign] |a| sign(a), sign;
            /// The square root. Triton's default one is approximate.
            12 Sqrt "sqrt" number [Sqrt] |a| a.sqrt(), sqrt;
            /// `e^a`, to two units in the last place.
            13 Exponential "exponential" number [Exponential] |a| exp(a), numbers("math.exp");
            /// Largest integer not above.
            14 Floor "floor" number [Floor] |a| a.floor(), numbers("math.floor");
            /// Smallest integer not below.
            15 Ceil "ceil" number [Ceil] |a| a.ceil(), numbers("math.ceil");
            /// Nearest integer, ties to even.
            16 RoundEven "round_even" number [RoundNearestEven] |a| a.round_ties_even(), round_even;
            /// The nearest bf16.
            17 RoundBf16 "round_bf16" number [] |a| round_bf16(a), round_bf16;
            /// Rounds toward zero and clamps to the range of s8; NaN becomes 0.
            18 TruncateS8 "truncate_s8" number [] |a| truncate_s8(a), truncate_s8;
            /// `a == b` as 1 or 0.
            19 Equal "equal" truth [Equal] |a, b| one(a == b), compare("oeq");
            /// `a != b` as 1 or 0.
            20 NotEqual "not_equal" truth [NotEqual] |a, b| one(a != b), compare("une");
            /// `a >= b` as 1 or 0.
            21 GreaterEqual "greater_equal" truth [GreaterEqual] |a, b| one(a >= b), compare("oge");
            /// `a > b` as 1 or 0.
            22 Greater "greater" truth [Greater] |a, b| one(a > b), compare("ogt");
            /// `a <= b` as 1 or 0.
            23 LessEqual "less_equal" truth [LessEqual] |a, b| one(a <= b), compare("ole");
            /// `a < b` as 1 or 0.
            24 Less "less" truth [Less] |a, b| one(a < b), compare("olt");
            /// Logical and.
            25 And "and" truth [And] |a, b| a * b, booleans("arith.andi");
            /// Logical or.
            26 Or "or" truth [Or] |a, b| a + b - a * b, booleans("arith.ori");
            /// Logical exclusive or.
            27 Xor "xor" truth [Xor] |a, b| one(a != b), booleans("arith.xori");
            /// Logical not.
            28 Not "not" truth [Not] |a| 1.0 - a, not;
            /// `b` where `a` is 1, else `c`.
            29 Select "select" number [Select] |a, b, c| if a != 0.0 { b } else { c }, select;
            /// `a`
            30 Copy "copy" number [] |a| a, copy;
        }
    };
}

pub(crate) use instructions;
