//! A product fused into the loop that reads it: its rows are a sequence of the loop and are never stored in memory.

use std::fmt;
use std::str::FromStr;

use super::parse::{ParseError, Words};

/// One fused product of a loop. Its sequence is not an operand of the call; its factors follow all other operands, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedProduct {
    /// Index of the slice that it replaces.
    pub slice: usize,
    /// Columns of the first factor: the length of each sum.
    pub columns: usize,
    /// Columns of the product.
    pub width: usize,
    /// The first factor.
    pub left: Left,
}

/// The first factor of a fused product. No instruction up to the one that it names reads the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// A mask `[rows, columns]`; the second factor is a matrix `[columns, width]`.
    Mask,
    /// A matrix `[rows, columns]` that is multiplied by the rows of a matrix `[width, columns]`, both bf16 or both f32 (a sampled dense-dense matrix
    /// product, SDDMM): the loop needs elements only where the result of this instruction is not 0. Elsewhere it reads 0.
    Sampled(usize),
    /// Where the results of this instruction in the same step are not 0: spikes that reach the other neurons of their row of lanes through a
    /// matrix `[columns, width]`, which is the only operand. There are as many columns as lanes in a row.
    Spikes(usize),
    /// The results of an instruction in the same step, rows of lanes, multiplied by the rows of a matrix `[width, columns]`, which is the only
    /// operand: what a step's cotangents pass back to the neurons of their row. There are as many columns as lanes in a row. If the matrix is
    /// bf16, the instruction rounds to bf16.
    Results(usize),
}

/// The word for an instruction that a product does not name.
const NONE: i64 = -1;

impl FusedProduct {
    /// Encodes products as integers; [`decode`](FusedProduct::decode) is the inverse.
    pub fn encode(products: &[FusedProduct]) -> Vec<i64> {
        let word = |instruction: usize| instruction as i64;
        let words = |product: &FusedProduct| {
            let [kind, instruction] = match product.left {
                Left::Mask => [0, NONE],
                Left::Sampled(needed) => [1, word(needed)],
                Left::Spikes(of) => [2, word(of)],
                Left::Results(of) => [3, word(of)],
            };
            [word(product.slice), word(product.columns), word(product.width), kind, instruction]
        };
        products.iter().flat_map(words).collect()
    }

    /// Decodes products; `None` for invalid words.
    pub fn decode(words: &[i64]) -> Option<Vec<FusedProduct>> {
        let (products, []) = words.as_chunks::<5>() else { return None };
        let size = |word: i64| usize::try_from(word).ok();
        let product = |&[slice, columns, width, kind, instruction]: &[i64; 5]| {
            let left = match (kind, instruction) {
                (0, NONE) => Left::Mask,
                (1, needed) => Left::Sampled(size(needed)?),
                (2, of) => Left::Spikes(size(of)?),
                (3, of) => Left::Results(size(of)?),
                _ => return None,
            };
            Some(FusedProduct { slice: size(slice)?, columns: size(columns)?, width: size(width)?, left })
        };
        products.iter().map(product).collect()
    }

    /// Whether the first factor consists of numbers that a step computes, in the element type of the second.
    pub fn is_of_results(&self) -> bool {
        matches!(self.left, Left::Results(_))
    }

    /// The number of its factors that are operands of the call.
    pub fn operands(&self) -> usize {
        match self.left {
            Left::Mask | Left::Sampled(_) => 2,
            Left::Spikes(_) | Left::Results(_) => 1,
        }
    }
}

/// `x0 is a masked product of 5 columns, width 6`, `x1 is a product of 5 columns, width 6, where r2 is not 0`,
/// `x1 is a recurrent product of r2, 6 columns, width 6`, `x1 is a product of r2, 6 columns, width 6`
impl fmt::Display for FusedProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FusedProduct { slice, columns, width, left } = self;
        match left {
            Left::Mask => write!(f, "x{slice} is a masked product of {columns} columns, width {width}"),
            Left::Sampled(result) => {
                write!(f, "x{slice} is a product of {columns} columns, width {width}, where r{result} is not 0")
            }
            Left::Spikes(result) => {
                write!(f, "x{slice} is a recurrent product of r{result}, {columns} columns, width {width}")
            }
            Left::Results(of) => write!(f, "x{slice} is a product of r{of}, {columns} columns, width {width}"),
        }
    }
}

impl FromStr for FusedProduct {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<FusedProduct, ParseError> {
        let mut words = Words::of(text.trim());
        words.skip("x")?;
        let slice = words.number(" is a ")?;
        if words.take("recurrent ") {
            words.skip("product of r")?;
            let left = Left::Spikes(words.number(", ")?);
            let columns = words.number(" columns, width ")?;
            return Ok(FusedProduct { slice, columns, width: words.number("")?, left });
        }
        let masked = words.take("masked ");
        words.skip("product of ")?;
        let of = if !masked && words.take("r") { Some(words.number(", ")?) } else { None };
        let columns = words.number(" columns, width ")?;
        if masked || of.is_some() {
            let left = of.map_or(Left::Mask, Left::Results);
            return Ok(FusedProduct { slice, columns, width: words.number("")?, left });
        }
        let width = words.number(", where r")?;
        let left = Left::Sampled(words.number(" is not 0")?);
        match words.rest() {
            "" => Ok(FusedProduct { slice, columns, width, left }),
            _ => Err(words.wrong("the end of the line")),
        }
    }
}
