//! A masked product that a loop computes where it reads it: its rows are a sequence of the loop, and are never in memory.

use std::fmt;
use std::str::FromStr;

use super::parse::{ParseError, Words};

/// One product of a loop. The slice that is its rows is no operand of the loop's call; behind all others come the mask and the
/// matrix of each product, in the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedProduct {
    /// Which of the loop's slices it is.
    pub slice: usize,
    /// Columns of the mask.
    pub columns: usize,
    /// Columns of the matrix.
    pub width: usize,
}

impl FusedProduct {
    /// Some products as whole numbers, which [`decode`](FusedProduct::decode) reads.
    pub fn encode(products: &[FusedProduct]) -> Vec<i64> {
        products.iter().flat_map(|product| [product.slice, product.columns, product.width].map(|n| n as i64)).collect()
    }

    /// The products that were encoded; `None` for anything else.
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
