//! Reads a TOML table key by key; each error is one sentence with the file and line.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};
use spiq_events::nearest;
use spiq_events::numbers::in_f32;

/// A file's text and its name in messages.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

/// Reads a configuration file, which must be a regular file of limited size.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    spiq_events::read_text(path).map_err(|cause| Error::file(path, "read", cause))
}

impl<'a> Source<'a> {
    /// An error about the text at `place`.
    pub fn error(self, place: usize, message: impl std::fmt::Display) -> Error {
        let line = 1 + self.text.bytes().take(place).filter(|byte| *byte == b'\n').count();
        Error::input(format!("{}:{line}: {message}", self.name))
    }

    /// The table of the whole file.
    pub fn parse(self) -> Result<DeTable<'a>> {
        DeTable::parse(self.text).map(Spanned::into_inner).map_err(|error| {
            let reason = error.message().lines().collect::<Vec<_>>().join(", ");
            self.error(error.span().map_or(0, |span| span.start), reason)
        })
    }
}

/// A table with only known keys.
pub(crate) struct Fields<'a> {
    source: Source<'a>,
    table: &'a DeTable<'a>,
    /// What the table describes, for messages: `core/layers/1 (LIF)`.
    what: String,
    place: usize,
}

impl<'a> Fields<'a> {
    /// The table at `place`.
    ///
    /// # Errors
    /// If it contains a key that is not in `known`.
    pub fn new(
        source: Source<'a>,
        table: &'a DeTable<'a>,
        what: impl Into<String>,
        place: usize,
        known: &[&str],
    ) -> Result<Fields<'a>> {
        let what = what.into();
        if let Some(key) = table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            let hint = match nearest(key.get_ref(), known.iter().copied()) {
                Some(best) => format!("did you mean `{best}`? "),
                None => String::new(),
            };
            let message = format!("unknown key `{}` in {what}; {hint}it takes {}", key.get_ref(), known.join(", "));
            return Err(source.error(key.span().start, message));
        }
        Ok(Fields { source, table, what, place })
    }

    /// The table at `place`, with any keys.
    pub fn any(source: Source<'a>, table: &'a DeTable<'a>, what: impl Into<String>, place: usize) -> Fields<'a> {
        Fields { source, table, what: what.into(), place }
    }

    /// The names of its keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// An error about the table as a whole.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        self.source.error(self.place, message)
    }

    /// An error about one key's value, for a message that need not name the key.
    pub fn error_at(&self, key: &str, message: impl std::fmt::Display) -> Error {
        let place = self.table.get(key).map_or(self.place, |value| value.span().start);
        self.source.error(place, message)
    }

    /// An error about one key's value.
    pub fn value_error(&self, key: &str, message: impl std::fmt::Display) -> Error {
        self.error_at(key, format!("`{key}` of {} {message}", self.what))
    }

    /// The value of a key that may be absent.
    pub fn get<T: Field>(&self, key: &str) -> Result<Option<T>> {
        T::find(self, key)
    }

    /// The value of a required key.
    pub fn require<T: Field>(&self, key: &str) -> Result<T> {
        self.get(key)?.ok_or_else(|| self.error(format!("{} lacks the key `{key}`", self.what)))
    }

    /// The table under a key, with these allowed keys; `what` is its name in messages.
    pub fn table(&self, key: &str, what: &str, known: &[&str]) -> Result<Option<Fields<'a>>> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.value_error(key, format!("is {}, but must be a table", shown(value.get_ref()))));
        };
        Fields::new(self.source, table, what, value.span().start, known).map(Some)
    }

    /// What the table describes.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The tables of a `[[key]]`, at least one.
    pub fn tables(&self, key: &str) -> Result<Vec<(&'a DeTable<'a>, Range<usize>)>> {
        let wrong = || self.error(format!("{} needs at least one [[{key}]] table", self.what));
        let items = self.table.get(key).and_then(|value| value.get_ref().as_array()).ok_or_else(wrong)?;
        let tables: Option<Vec<_>> = items.iter().map(|item| Some((item.get_ref().as_table()?, item.span()))).collect();
        tables.filter(|tables| !tables.is_empty()).ok_or_else(wrong)
    }
}

/// A type of value.
pub(crate) trait Field: Sized {
    /// Its name in messages.
    const WHAT: &'static str;
    /// Its name in lists of keys, where [`WHAT`](Field::WHAT) would be too long.
    const KIND: &'static str = Self::WHAT;
    /// The value, if it is of this type.
    fn read(value: &DeValue<'_>) -> Option<Self>;

    /// The value of a key that may be absent. Overridden only by types whose values have nested parts.
    fn find(fields: &Fields<'_>, key: &str) -> Result<Option<Self>> {
        let Some(value) = fields.table.get(key) else { return Ok(None) };
        let wrong = || fields.value_error(key, format!("is {}, but must be {}", shown(value.get_ref()), Self::WHAT));
        Self::read(value.get_ref()).map(Some).ok_or_else(wrong)
    }
}

/// An optional value.
impl<T: Field> Field for Option<T> {
    const WHAT: &'static str = T::WHAT;
    const KIND: &'static str = T::KIND;
    fn read(value: &DeValue<'_>) -> Option<Option<T>> {
        T::read(value).map(Some)
    }
}

impl Field for String {
    const WHAT: &'static str = "a string";
    const KIND: &'static str = "string";
    fn read(value: &DeValue<'_>) -> Option<String> {
        value.as_str().map(str::to_owned)
    }
}

impl Field for bool {
    const WHAT: &'static str = "true or false";
    const KIND: &'static str = "boolean";
    fn read(value: &DeValue<'_>) -> Option<bool> {
        value.as_bool()
    }
}

impl Field for i64 {
    const WHAT: &'static str = "a whole number";
    const KIND: &'static str = "integer";
    fn read(value: &DeValue<'_>) -> Option<i64> {
        let digits = value.as_integer()?;
        i64::from_str_radix(digits.as_str(), digits.radix()).ok()
    }
}

/// The largest accepted count, also of elements: a larger array is of no use, and products of sizes could overflow.
pub const LARGEST: usize = i32::MAX as usize;

/// A size.
impl Field for usize {
    const WHAT: &'static str = "a whole number from 1 to 2147483647";
    const KIND: &'static str = "size";
    fn read(value: &DeValue<'_>) -> Option<usize> {
        usize::try_from(i64::read(value)?).ok().filter(|size| (1..=LARGEST).contains(size))
    }
}

impl Field for f64 {
    const WHAT: &'static str = "a number in f32's range: 0, or a magnitude from 1.2e-38 to 3.4e38";
    const KIND: &'static str = "number";
    fn read(value: &DeValue<'_>) -> Option<f64> {
        let number = match value.as_float() {
            Some(digits) => digits.as_str().parse().ok()?,
            None => i64::read(value)? as f64,
        };
        in_f32(number).then_some(number)
    }
}

fn list<T: Field>(value: &DeValue<'_>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(|item| T::read(item.get_ref())).collect()
}

impl Field for Vec<String> {
    const WHAT: &'static str = "a list of strings";
    const KIND: &'static str = "strings";
    fn read(value: &DeValue<'_>) -> Option<Vec<String>> {
        list(value)
    }
}

impl Field for Vec<i64> {
    const WHAT: &'static str = "a list of whole numbers";
    const KIND: &'static str = "integers";
    fn read(value: &DeValue<'_>) -> Option<Vec<i64>> {
        list(value)
    }
}

/// A shape; a single number is a shape of one axis.
impl Field for Vec<usize> {
    const WHAT: &'static str = "a size or a list of sizes, whole numbers from 1 up with a product below 2147483648";
    const KIND: &'static str = "sizes";
    fn read(value: &DeValue<'_>) -> Option<Vec<usize>> {
        let sizes = if value.is_array() { list(value)? } else { vec![usize::read(value)?] };
        let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size).filter(|n| *n <= LARGEST));
        (!sizes.is_empty() && count.is_some()).then_some(sizes)
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(digits) => digits.to_string(),
        DeValue::Float(digits) => digits.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Array(items) => {
            format!("[{}]", items.iter().map(|item| shown(item.get_ref())).collect::<Vec<_>>().join(", "))
        }
        other => format!("a {}", other.type_str()),
    }
}
