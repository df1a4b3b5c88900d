//! A product fused into the loop that reads it: its rows are a sequence of the loop and are never stored in memory.

use std::fmt;
use std::str::FromStr;

use super::parse::{ParseError, Words};

/// One fused product of a loop. Its sequence is not an operand of the call; the two factors of each product follow all other operands, in
/// the order of the list.
///
/// It is either a masked product, of a mask `[rows, columns]` and a matrix `[columns, width]`, or a *sampled* product (a sampled dense-dense
/// matrix product, SDDMM) of a matrix `[rows, columns]` and the rows of a matrix `[width, columns]`, both bf16 or both f32: the loop needs
/// its elements only where the result of one of its instructions is not 0. Elsewhere the loop reads 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedProduct {
    /// Index of the slice that it replaces.
    pub slice: usize,
    /// Columns of the first factor: the length of each sum.
    pub columns: usize,
    /// Columns of the product.
    pub width: usize,
    /// For a sampled product, the instruction whose result decides which elements are needed. No instruction up to this one reads the
    /// product.
    pub needed: Option<usize>,
}

impl FusedProduct {
    /// Encodes products as integers; [`decode`](FusedProduct::decode) is the inverse.
    pub fn encode(products: &[FusedProduct]) -> Vec<i64> {
        let words = |product: &FusedProduct| {
            let needed = product.needed.map_or(-1, |instruction| instruction as i64);
            [product.slice as i64, product.columns as i64, product.width as i64, needed]
        };
        products.iter().flat_map(words).collect()
    }

    /// Decodes products; `None` for invalid words.
    pub fn decode(words: &[i64]) -> Option<Vec<FusedProduct>> {
        let (products, []) = words.as_chunks::<4>() else { return None };
        let size = |word: i64| usize::try_from(word).ok();
        let product = |&[slice, columns, width, needed]: &[i64; 4]| {
            let needed = if needed == -1 { None } else { Some(size(needed)?) };
            Some(FusedProduct { slice: size(slice)?, columns: size(columns)?, width: size(width)?, needed })
        };
        products.iter().map(product).collect()
    }
}

/// `x0 is a masked product of 5 columns, width 6`, `x1 is a product of 5 columns, width 6, where r2 is not 0`
impl fmt::Display for FusedProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FusedProduct { slice, columns, width, needed } = self;
        match needed {
            None => write!(f, "x{slice} is a masked product of {columns} columns, width {width}"),
            Some(result) => {
                write!(f, "x{slice} is a product of {columns} columns, width {width}, where r{result} is not 0")
            }
        }
    }
}

impl FromStr for FusedProduct {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<FusedProduct, ParseError> {
        let mut words = Words::of(text.trim());
        words.skip("x")?;
        let slice = words.number(" is a ")?;
        let masked = words.take("masked ");
        words.skip("product of ")?;
        let columns = words.number(" columns, width ")?;
        if masked {
            return Ok(FusedProduct { slice, columns, width: words.number("")?, needed: None });
        }
        let width = words.number(", where r")?;
        let needed = Some(words.number(" is not 0")?);
        match words.rest() {
            "" => Ok(FusedProduct { slice, columns, width, needed }),
            _ => Err(words.wrong("the end of the line")),
        }
    }
}
