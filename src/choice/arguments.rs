//! The arguments of a definition selected by name: `adamw(b2 = 0.99)`. Each is read by key, with a default; unknown keys are refused.

use std::fmt;
use std::ops::RangeInclusive;

use spiq_events::numbers::{HELD_BY_F32, in_f32, is_out_of_f32, shown};
use toml::{Table, Value};

use super::{Choice, find};
use crate::error::{Error, Result};
use crate::fields::nearest;

/// Any finite number.
pub const FINITE: RangeInclusive<f64> = f64::MIN..=f64::MAX;
/// Finite numbers of at least 0.
pub const NOT_NEGATIVE: RangeInclusive<f64> = 0.0..=f64::MAX;
/// Finite numbers above 0.
pub const POSITIVE: RangeInclusive<f64> = f64::MIN_POSITIVE..=f64::MAX;
/// Numbers from 0 to 1.
pub const SHARE: RangeInclusive<f64> = 0.0..=1.0;
/// Numbers from 0 to below 1.
pub const DECAY: RangeInclusive<f64> = 0.0..=BELOW_ONE;
/// Numbers above 0 and below 1.
pub const BETWEEN: RangeInclusive<f64> = f64::MIN_POSITIVE..=BELOW_ONE;
const BELOW_ONE: f64 = 1.0 - f64::EPSILON / 2.0;

/// Arguments as typed, read one by one.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The name of the definition.
    name: String,
    /// The kind of definition: `optimizer`.
    kind: &'static str,
    given: Table,
    /// The keys read so far.
    known: Vec<&'static str>,
    /// The arguments that differ from their defaults, as text.
    changed: Vec<String>,
}

/// A span of a run: a number of steps, written as an integer, or a fraction of all steps, written with a decimal point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// A fraction of all steps, from 0 to 1.
    Share(f64),
    /// A number of steps.
    Steps(u32),
}

impl Span {
    /// The number of steps in a run of `steps`.
    pub fn of(self, steps: u32) -> u32 {
        match self {
            Span::Share(share) => (share * f64::from(steps)).round() as u32,
            Span::Steps(steps) => steps,
        }
    }

    fn read(value: &Value) -> Option<Span> {
        match value {
            Value::Integer(steps) => u32::try_from(*steps).ok().map(Span::Steps),
            Value::Float(share) => SHARE.contains(share).then_some(Span::Share(*share)),
            _ => None,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Share(share) => write!(f, "{share:?}"),
            Span::Steps(steps) => steps.fmt(f),
        }
    }
}

/// The error message for an invalid span.
const SPAN: &str =
    "must be a number of steps, or a fraction of all steps from 0.0 to 1.0, written with a decimal point";

impl Arguments {
    /// A definition without arguments.
    pub fn none(kind: &'static str, name: &str) -> Arguments {
        Arguments { name: name.to_owned(), kind, given: Table::new(), known: Vec::new(), changed: Vec::new() }
    }

    /// Takes the arguments that `by` was given and did not read, replacing its own.
    pub(crate) fn overridden(mut self, by: &Arguments) -> Arguments {
        let unread = by.given.iter().filter(|(key, _)| !by.known.contains(&key.as_str()));
        unread.for_each(|(key, value)| _ = self.given.insert(key.clone(), value.clone()));
        self
    }

    /// An error about the definition.
    pub fn error(&self, message: impl fmt::Display) -> Error {
        Error::input(format!("the {} `{}` {message}", self.kind, self.name))
    }

    fn value_error(&self, key: &str, message: impl fmt::Display) -> Error {
        let given = self.given.get(key).map_or_else(String::new, |value| format!(" is {}, but", shown(value)));
        Error::input(format!("`{key}` of the {} `{}`{given} {message}", self.kind, self.name))
    }

    /// Reads the value of a key, and records it if it differs from the default.
    fn take<T: PartialEq>(
        &mut self,
        key: &'static str,
        default: Option<&T>,
        read: impl Fn(&Value) -> Option<T>,
        wanted: &str,
        write: impl Fn(&T) -> String,
    ) -> Result<Option<T>> {
        self.known.push(key);
        let Some(value) = self.given.get(key) else { return Ok(None) };
        let held = format!("must be {HELD_BY_F32}");
        let wanted = if is_out_of_f32(value) { &held } else { wanted };
        let value = read(value).ok_or_else(|| self.value_error(key, wanted))?;
        if Some(&value) != default {
            self.changed.push(format!("{key} = {}", write(&value)));
        }
        Ok(Some(value))
    }

    /// A number within these bounds.
    ///
    /// # Errors
    /// Of kind `Input` for anything else; the same applies to the methods below.
    pub fn number(&mut self, key: &'static str, default: f64, within: RangeInclusive<f64>) -> Result<f64> {
        Ok(self.number_with(key, Some(default), within)?.unwrap_or(default))
    }

    /// A number within these bounds that may be absent.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn optional(&mut self, key: &'static str, within: RangeInclusive<f64>) -> Result<Option<f64>> {
        self.number_with(key, None, within)
    }

    /// A required number within these bounds.
    ///
    /// # Errors
    /// As [`number`](Arguments::number); also if it is missing.
    pub fn required(&mut self, key: &'static str, within: RangeInclusive<f64>) -> Result<f64> {
        let number = self.optional(key, within)?;
        number.ok_or_else(|| self.error(format!("needs `{key}`: write {}({key} = …)", self.name)))
    }

    fn number_with(
        &mut self,
        key: &'static str,
        default: Option<f64>,
        within: RangeInclusive<f64>,
    ) -> Result<Option<f64>> {
        let read = |value: &Value| float(value).filter(|number| fits(&within, *number));
        self.take(key, default.as_ref(), read, &bounds(&within), |number| format!("{number:?}"))
    }

    /// A count of at least one.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn count(&mut self, key: &'static str, default: u32) -> Result<u32> {
        let read = |value: &Value| whole(value).filter(|n| *n > 0);
        Ok(self.take(key, Some(&default), read, COUNT, u32::to_string)?.unwrap_or(default))
    }

    /// A count of at least one that may be absent.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn optional_count(&mut self, key: &'static str) -> Result<Option<u32>> {
        self.take(key, None, |value| whole(value).filter(|n| *n > 0), COUNT, u32::to_string)
    }

    /// A whole number, 0 included.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn natural(&mut self, key: &'static str, default: u32) -> Result<u32> {
        let wanted = "must be a whole number of 0 or more";
        Ok(self.take(key, Some(&default), whole, wanted, u32::to_string)?.unwrap_or(default))
    }

    /// A boolean.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn flag(&mut self, key: &'static str, default: bool) -> Result<bool> {
        let wanted = "must be true or false";
        Ok(self.take(key, Some(&default), Value::as_bool, wanted, bool::to_string)?.unwrap_or(default))
    }

    /// A text that may be absent.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        let read = |value: &Value| value.as_str().map(str::to_owned);
        self.take(key, None, read, "must be a text in quotes", |text| Value::from(text.as_str()).to_string())
    }

    /// Numbers within these bounds, or a word; may be absent.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn numbers_or(
        &mut self,
        key: &'static str,
        within: RangeInclusive<f64>,
        word: &str,
    ) -> Result<Option<NumbersOr>> {
        let number = |value: &Value| float(value).filter(|number| fits(&within, *number));
        let read = |value: &Value| match value {
            Value::Array(values) => values.iter().map(number).collect::<Option<_>>().map(NumbersOr::Numbers),
            Value::String(text) => (text == word).then_some(NumbersOr::Word),
            _ => None,
        };
        let wanted = format!("must be \"{word}\" or a list of numbers, each of which {}", bounds(&within));
        self.take(key, None, read, &wanted, |value| match value {
            NumbersOr::Word => format!("\"{word}\""),
            NumbersOr::Numbers(numbers) => list(numbers, |number| format!("{number:?}")),
        })
    }

    /// Numbers within these bounds.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn numbers(&mut self, key: &'static str, default: &[f64], within: RangeInclusive<f64>) -> Result<Vec<f64>> {
        let number = |value: &Value| float(value).filter(|number| fits(&within, *number));
        let read = |value: &Value| value.as_array()?.iter().map(number).collect::<Option<Vec<f64>>>();
        let wanted = format!("must be a list of numbers, each of which {}", bounds(&within));
        let write = |numbers: &Vec<f64>| list(numbers, |number| format!("{number:?}"));
        Ok(self.take(key, Some(&default.to_vec()), read, &wanted, write)?.unwrap_or_else(|| default.to_vec()))
    }

    /// A span of a run.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn span(&mut self, key: &'static str, default: Span) -> Result<Span> {
        Ok(self.take(key, Some(&default), Span::read, SPAN, Span::to_string)?.unwrap_or(default))
    }

    /// Spans of a run.
    ///
    /// # Errors
    /// As [`number`](Arguments::number).
    pub fn spans(&mut self, key: &'static str, default: &[Span]) -> Result<Vec<Span>> {
        let read = |value: &Value| value.as_array()?.iter().map(Span::read).collect::<Option<Vec<Span>>>();
        let wanted = format!("must be a list, each of which {SPAN}");
        let write = |spans: &Vec<Span>| list(spans, Span::to_string);
        Ok(self.take(key, Some(&default.to_vec()), read, &wanted, write)?.unwrap_or_else(|| default.to_vec()))
    }

    /// The call with all arguments that differ from their defaults; parsing it gives the same definition.
    ///
    /// # Errors
    /// Of kind `Input` for a key that was not read.
    pub fn finish(&self) -> Result<String> {
        if let Some(key) = self.given.keys().find(|key| !self.known.contains(&key.as_str())) {
            let hint = match nearest(key, self.known.iter().copied()) {
                Some(best) => format!("; did you mean `{best}`?"),
                None if self.known.is_empty() => "; it takes none".to_owned(),
                None => format!("; it takes {}", self.known.join(", ")),
            };
            return Err(self.error(format!("has no argument `{key}`{hint}")));
        }
        Ok(match self.changed.is_empty() {
            true => self.name.clone(),
            false => format!("{}({})", self.name, self.changed.join(", ")),
        })
    }
}

/// A list of numbers, or a word that replaces one.
#[derive(Clone, Debug, PartialEq)]
pub enum NumbersOr {
    /// The word.
    Word,
    /// The numbers.
    Numbers(Vec<f64>),
}

fn list<T>(values: &[T], write: impl Fn(&T) -> String) -> String {
    format!("[{}]", values.iter().map(write).collect::<Vec<_>>().join(", "))
}

/// The error message for an invalid count.
const COUNT: &str = "must be a whole number of at least 1";

fn whole(value: &Value) -> Option<u32> {
    value.as_integer().and_then(|number| u32::try_from(number).ok())
}

fn float(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|number| number as f64))
}

/// Whether a number is within bounds, also after rounding to f32: a number below 1 must not round to 1.
fn fits(within: &RangeInclusive<f64>, number: f64) -> bool {
    let below_one = *within.end() != BELOW_ONE || (number as f32) < 1.0;
    within.contains(&number) && in_f32(number) && below_one
}

/// A description of the bounds.
fn bounds(within: &RangeInclusive<f64>) -> String {
    let (low, high) = (within.start(), within.end());
    match (*low, *high) {
        (f64::MIN, f64::MAX) => "must be a number".to_owned(),
        (0.0, f64::MAX) => "must be a number of 0 or more".to_owned(),
        (f64::MIN_POSITIVE, f64::MAX) => "must be a positive number".to_owned(),
        (f64::MIN_POSITIVE, BELOW_ONE) => "must be a number above 0 and below 1".to_owned(),
        (0.0, BELOW_ONE) => "must be a number from 0 to below 1".to_owned(),
        (_, f64::MAX) => format!("must be a number of {low} or more"),
        _ => format!("must be a number from {low} to {high}"),
    }
}

/// The rows called in a text, each with its arguments, in order.
///
/// # Errors
/// Of kind `Input`: invalid syntax, an unknown name.
pub(crate) fn chosen<T>(
    kind: &'static str,
    table: &'static [Choice<T>],
    text: &str,
) -> Result<Vec<(&'static Choice<T>, Arguments)>> {
    let calls = spiq_events::calls(text).map_err(|error| Error::input(format!("the {kind}: {error}")))?;
    let one = |call: spiq_events::Call| {
        let row = find(kind, table, &call.name)?;
        Ok((row, Arguments { given: call.arguments, ..Arguments::none(kind, row.name) }))
    };
    calls.into_iter().map(one).collect()
}

/// The single row called in a text, with its arguments.
///
/// # Errors
/// As [`chosen`]; also for none or several.
pub(crate) fn chosen_one<T>(
    kind: &'static str,
    table: &'static [Choice<T>],
    text: &str,
) -> Result<(&'static Choice<T>, Arguments)> {
    let mut chosen = chosen(kind, table, text)?;
    match chosen.len() {
        1 => Ok(chosen.remove(0)),
        several => Err(Error::input(format!("one {kind} is required, but `{text}` names {several}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Choice<()>] =
        &[Choice { name: "warm", about: "", make: () }, Choice { name: "cold", about: "", make: () }];

    fn read(text: &str) -> Result<String> {
        let (_, mut arguments) = chosen_one("schedule", TABLE, text)?;
        arguments.number("rate", 0.5, SHARE)?;
        arguments.span("over", Span::Share(1.0))?;
        arguments.numbers_or("weights", POSITIVE, "balanced")?;
        arguments.count("every", 1)?;
        arguments.flag("stairs", false)?;
        arguments.text("path")?;
        arguments.finish()
    }

    #[test]
    fn a_text_is_written_the_same_way_however_it_is_typed() {
        for (typed, text) in [
            ("warm", "warm"),
            (" warm( ) ", "warm"),
            ("warm(rate=0.5)", "warm"),
            ("warm(every = 3,rate=1)", "warm(rate = 1.0, every = 3)"),
            ("warm(over = 20)", "warm(over = 20)"),
            ("warm(over = 0.25, stairs = true)", "warm(over = 0.25, stairs = true)"),
            ("warm(weights = 'balanced', path = 'a\"b')", "warm(weights = \"balanced\", path = 'a\"b')"),
            ("warm(weights = [1, 2.5])", "warm(weights = [1.0, 2.5])"),
        ] {
            assert_eq!(read(typed).expect(typed), text);
            assert_eq!(read(text).expect(text), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_key() {
        for (typed, expected) in [
            ("wram", "there is no schedule `wram`; did you mean `warm`? available: warm, cold"),
            ("warm, cold", "one schedule is required, but `warm, cold` names 2"),
            ("", "one schedule is required, but `` names 0"),
            ("warm(", "the schedule: `warm(` has an unmatched bracket or quote"),
            ("warm(rte = 1)", "the schedule `warm` has no argument `rte`; did you mean `rate`?"),
            ("warm(rate = 2)", "`rate` of the schedule `warm` is 2, but must be a number from 0 to 1"),
            (
                "warm(weights = [1.0, 1e39])",
                "`weights` of the schedule `warm` is [1.0, 1e39], but must be a number in f32's range: ",
            ),
            ("warm(rate = nan)", "`rate` of the schedule `warm` is nan, but must be a number from 0 to 1"),
            ("warm(rate = 'x')", "`rate` of the schedule `warm` is \"x\", but must be a number from 0 to 1"),
            ("warm(every = 0)", "`every` of the schedule `warm` is 0, but must be a whole number of at least 1"),
            ("warm(stairs = 1)", "`stairs` of the schedule `warm` is 1, but must be true or false"),
        ] {
            let said = read(typed).expect_err(typed).to_string();
            assert!(said.starts_with(expected), "{typed}: {said}");
        }
    }
}
