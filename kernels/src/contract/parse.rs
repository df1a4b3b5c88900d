//! A parser for printed programs.

use std::fmt;

/// Invalid program text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    wanted: String,
    found: String,
}

impl ParseError {
    pub(super) fn new(wanted: impl Into<String>, found: impl Into<String>) -> ParseError {
        ParseError { wanted: wanted.into(), found: found.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found `{}`", self.wanted, self.found)
    }
}

impl std::error::Error for ParseError {}

/// The rest of a line.
pub(super) struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Words<'a> {
        Words(line)
    }

    pub(super) fn rest(&self) -> &'a str {
        self.0
    }

    pub(super) fn wrong(&self, wanted: impl Into<String>) -> ParseError {
        ParseError::new(wanted, self.0)
    }

    /// Skips this text if it comes next; returns whether it did.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Skips this text, which must come next.
    pub(super) fn skip(&mut self, text: &str) -> Result<(), ParseError> {
        if self.take(text) { Ok(()) } else { Err(self.wrong(format!("`{text}`"))) }
    }

    /// The text up to `end`, which is skipped; the rest of the line if `end` is empty.
    pub(super) fn until(&mut self, end: &str) -> Result<&'a str, ParseError> {
        if end.is_empty() {
            return Ok(std::mem::take(&mut self.0));
        }
        let (text, rest) = self.0.split_once(end).ok_or_else(|| self.wrong(format!("`{end}`")))?;
        self.0 = rest;
        Ok(text)
    }

    /// Parses a size followed by `end`: an integer that fits the encoding's signed 64-bit words.
    pub(super) fn number(&mut self, end: &str) -> Result<usize, ParseError> {
        let text = self.until(end)?;
        let size: Option<i64> = text.parse().ok();
        let size = size.and_then(|size| usize::try_from(size).ok());
        size.ok_or_else(|| ParseError::new("a whole number below 2^63", text))
    }
}
