//! Value parsers for command-line arguments.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use spiq::choice::Choice;
use spiq::config::{LARGEST, in_f32};
use spiq::provenance::Validation;

/// A count of at least one.
pub fn count(text: &str) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|count| (1..=LARGEST).contains(count));
    fits.ok_or_else(|| format!("it must be a whole number from 1 to {LARGEST}"))
}

/// A number of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Devices {
    /// One, as if the flag were not given.
    #[default]
    One,
    /// This many.
    Of(usize),
    /// All that the platform has.
    All,
}

/// Maximum number of devices of one process.
const DEVICES: usize = 256;

/// A number of devices, or `all`.
pub fn devices(text: &str) -> Result<Devices, String> {
    devices_up_to(text, DEVICES)
}

/// The same for a program that is not run: any number.
pub fn devices_of_program(text: &str) -> Result<Devices, String> {
    devices_up_to(text, LARGEST)
}

fn devices_up_to(text: &str, most: usize) -> Result<Devices, String> {
    match text.parse() {
        _ if text == "all" => Ok(Devices::All),
        Ok(count) if (1..=most).contains(&count) => Ok(Devices::Of(count)),
        _ => Err(format!("it must be `all`, or a whole number from 1 to {most}")),
    }
}

/// Maximum number of runs of one command.
const RUNS: usize = 10_000;

/// A number of folds.
pub fn folds(text: &str) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|count| (1..=RUNS).contains(count));
    fits.ok_or_else(|| format!("it must be a whole number from 1 to {RUNS}"))
}

/// Distinct seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Vec<i64>);

/// A list of seeds, or a count N for seeds 0 to N-1.
pub fn seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || format!("it must be distinct seeds separated by commas, or their number, from 1 to {RUNS}");
    let read: Vec<i64> =
        text.split(',').map(|seed| seed.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    let read = match read[..] {
        [count] if (1..=RUNS as i64).contains(&count) => (0..count).collect(),
        [_] => return Err(wrong()),
        _ => read,
    };
    let different: std::collections::BTreeSet<&i64> = read.iter().collect();
    if different.len() == read.len() { Ok(Seeds(read)) } else { Err(wrong()) }
}

/// The closest word to a misspelt one.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    spiq::choice::nearest(word, words)
}

/// The samples used for validation.
pub fn validation(text: &str) -> Result<Validation, String> {
    let named = Validation::parse(text).filter(|read| !matches!(read, Validation::Fold { .. }));
    named.ok_or_else(|| "it must be a fraction between 0 and 1, a number of samples, `own` or `none`".to_owned())
}

/// A probability.
pub fn probability(text: &str) -> Result<f32, String> {
    let fits = text.parse().ok().filter(|number: &f32| (0.0..=1.0).contains(number));
    fits.ok_or_else(|| "it must be a number from 0 to 1".to_owned())
}

/// A duration in seconds, zero included.
pub fn seconds(text: &str) -> Result<f64, String> {
    const MOST: f64 = 1e9;
    let fits = text.parse().ok().filter(|number: &f64| (0.0..=MOST).contains(number));
    fits.ok_or_else(|| "it must be a number of seconds from 0 to 1e9".to_owned())
}

/// A positive number that f32 can represent.
pub fn positive(text: &str) -> Result<f64, String> {
    let fits = text.parse().ok().filter(|number: &f64| in_f32(*number) && *number > 0.0);
    fits.ok_or_else(|| "it must be a positive number, from 1.2e-38 to 3.4e38".to_owned())
}

/// Accepts the names in a table, with their help texts.
pub fn names<T>(table: &'static [Choice<T>]) -> PossibleValuesParser {
    PossibleValuesParser::new(table.iter().map(possible))
}

fn possible<T>(row: &'static Choice<T>) -> PossibleValue {
    match row.about {
        "" => PossibleValue::new(row.name),
        about => PossibleValue::new(row.name).help(about),
    }
}

/// Accepts whatever `check` does, and shows the names in a table with their help texts; for names that take arguments.
pub fn calls<T: Sync>(table: &'static [Choice<T>], check: fn(&str) -> spiq::Result<()>) -> Calls<T> {
    Calls { table, check }
}

/// See [`calls`].
pub struct Calls<T: 'static> {
    table: &'static [Choice<T>],
    check: fn(&str) -> spiq::Result<()>,
}

impl<T> Clone for Calls<T> {
    fn clone(&self) -> Calls<T> {
        Calls { ..*self }
    }
}

impl<T: Sync + 'static> TypedValueParser for Calls<T> {
    type Value = String;

    fn parse_ref(&self, command: &clap::Command, of: Option<&clap::Arg>, value: &OsStr) -> Result<String, clap::Error> {
        let text = value.to_str().ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))?;
        match (self.check)(text) {
            Ok(()) => Ok(text.to_owned()),
            Err(reason) => {
                let flag = of.map(ToString::to_string).unwrap_or_default();
                let flag = flag.split(' ').next().unwrap_or_default();
                Err(clap::Error::raw(ErrorKind::ValueValidation, format!("{flag}: {reason}\n")).with_cmd(command))
            }
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.table.iter().map(possible)))
    }
}
