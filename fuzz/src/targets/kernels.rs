//! Kernels as text, and in the encoding that compiled programs contain.

use spiq_kernels::{FusedProduct, LaneProgram, MaskedProduct};

use super::{Target, text};

const PROGRAM: &str = "loop of 16 steps, 48 lanes, backward\n  const c0: f32\n  slice x0: s8\n  r0 = multiply_add(s0, 0.9, x0)\n  \
                       r1 = greater(r0, c0)\n  carry s0 = r0\n  write y0: pred = r1\n";

/// A text that parses as a program encodes, and decodes to the same program.
pub const TEXT: Target = Target {
    name: "kernel_text",
    read: |input| {
        let Some(text) = text(input) else { return false };
        _ = (text.parse::<MaskedProduct>(), text.parse::<FusedProduct>());
        let Ok(program) = text.parse::<LaneProgram>() else { return false };
        let words = program.encode();
        assert_eq!(LaneProgram::decode(&words).expect("what was encoded").encode(), words);
        true
    },
    corpus: || vec![PROGRAM.as_bytes().to_vec()],
};

/// Words that decode to a program encode to the same words.
pub const WORDS: Target = Target {
    name: "kernel_words",
    read: |input| {
        let words: Vec<i64> = input.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
        _ = (MaskedProduct::decode(&words), FusedProduct::decode(&words));
        let Some(program) = LaneProgram::decode(&words) else { return false };
        assert_eq!(program.encode(), words);
        _ = program.to_string();
        true
    },
    corpus: || {
        let program: LaneProgram = PROGRAM.parse().expect("a program");
        vec![program.encode().iter().flat_map(|word| word.to_le_bytes()).collect()]
    },
};
