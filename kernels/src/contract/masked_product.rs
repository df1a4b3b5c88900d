//! A matrix product whose left factor contains only 0 and 1: sums of rows of the other factor.

use std::fmt;
use std::str::FromStr;

use super::parse::{ParseError, Words};

/// The sizes of a product of a mask (a matrix of zeros and ones) and a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedProduct {
    /// Rows of the mask.
    pub rows: usize,
    /// Columns of the mask.
    pub columns: usize,
    /// Columns of the matrix and of the result.
    pub width: usize,
    /// The axis of the mask that is summed over. True: its rows; the matrix has one row per row of the mask, and the result one per column
    /// (the gradient of weights). False: its columns; the matrix has one row per column of the mask, and the result one per row.
    pub over_rows: bool,
}

/// Changes with the meaning of the encoding, so that cached programs with an older encoding no longer match.
const VERSION: i64 = 1;

impl MaskedProduct {
    /// Encodes the sizes as integers; [`decode`](MaskedProduct::decode) is the inverse.
    pub fn encode(&self) -> Vec<i64> {
        let sizes = [self.rows, self.columns, self.width].map(|n| n as i64);
        [vec![VERSION], sizes.to_vec(), vec![i64::from(self.over_rows)]].concat()
    }

    /// Decodes sizes; `None` for invalid words.
    pub fn decode(words: &[i64]) -> Option<MaskedProduct> {
        let &[VERSION, rows, columns, width, over_rows] = words else { return None };
        let size = |word: i64| usize::try_from(word).ok();
        let over_rows = [false, true].into_iter().find(|b| i64::from(*b) == over_rows)?;
        Some(MaskedProduct { rows: size(rows)?, columns: size(columns)?, width: size(width)?, over_rows })
    }

    /// Rows of the matrix.
    pub fn summed(&self) -> usize {
        if self.over_rows { self.rows } else { self.columns }
    }

    /// Rows of the result.
    pub fn kept(&self) -> usize {
        if self.over_rows { self.columns } else { self.rows }
    }
}

/// `masked product of 128 rows, 5 columns, width 6, over rows`
impl fmt::Display for MaskedProduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MaskedProduct { rows, columns, width, over_rows } = self;
        let over = if *over_rows { "rows" } else { "columns" };
        write!(f, "masked product of {rows} rows, {columns} columns, width {width}, over {over}")
    }
}

impl FromStr for MaskedProduct {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<MaskedProduct, ParseError> {
        let mut words = Words::of(text.trim());
        words.skip("masked product of ")?;
        let rows = words.number(" rows, ")?;
        let columns = words.number(" columns, width ")?;
        let width = words.number(", over ")?;
        match words.rest() {
            "rows" => Ok(MaskedProduct { rows, columns, width, over_rows: true }),
            "columns" => Ok(MaskedProduct { rows, columns, width, over_rows: false }),
            _ => Err(words.wrong("`rows` or `columns`")),
        }
    }
}
