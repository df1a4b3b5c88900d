//! A masked product fused into the loop that reads it: its rows are a sequence of the loop and are never stored in memory.

use std::fmt;
use std::str::FromStr;

use super::parse::{ParseError, Words};

/// One fused product of a loop. Its sequence is not an operand of the call; the mask and the matrix of each product follow all other
/// operands, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedProduct {
    /// Index of the slice that it replaces.
    pub slice: usize,
    /// Columns of the mask.
    pub columns: usize,
    /// Columns of the matrix.
    pub width: usize,
}

impl FusedProduct {
    /// Encodes products as integers; [`decode`](FusedProduct::decode) is the inverse.
    pub fn encode(products: &[FusedProduct]) -> Vec<i64> {
        products.iter().flat_map(|product| [product.slice, product.columns, product.width].map(|n| n as i64)).collect()
    }

    /// Decodes products; `None` for invalid words.
    pub fn decode(words: &[i64]) -> Option<Vec<FusedProduct>> {
        let (products, []) = words.as_chunks::<3>() else { return None };
        let size = |word: i64| usize::try_from(word).ok();
        let product = |&[slice, columns, width]: &[i64; 3]| {
            Some(FusedProduct { slice: size(slice)?, columns: size(columns)?, width: size(width)? })
        };
        products.iter().map(product).collect()
    }
}

/// `x0 is a masked product of 5 columns, width 6`
impl fmt::Display for FusedProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FusedProduct { slice, columns, width } = self;
        write!(f, "x{slice} is a masked product of {columns} columns, width {width}")
    }
}

impl FromStr for FusedProduct {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<FusedProduct, ParseError> {
        let mut words = Words::of(text.trim());
        words.skip("x")?;
        let slice = words.number(" is a masked product of ")?;
        let columns = words.number(" columns, width ")?;
        Ok(FusedProduct { slice, columns, width: words.number("")? })
    }
}
