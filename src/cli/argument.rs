//! Numbers as they are typed, checked while the arguments are read. Knows nothing of what they are for.

use clap::builder::{PossibleValue, PossibleValuesParser};
use spiq::choice::Choice;
use spiq::config::LARGEST;
use spiq::provenance::Validation;

/// A count of at least one.
pub fn count(text: &str) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|count| (1..=LARGEST).contains(count));
    fits.ok_or_else(|| format!("it must be a whole number from 1 to {LARGEST}"))
}

/// Which samples are for validation.
pub fn validation(text: &str) -> Result<Validation, String> {
    let named = Validation::parse(text).filter(|read| !matches!(read, Validation::Fold { .. }));
    named.ok_or_else(|| "it must be a share above 0 and below 1, a number of samples, `own` or `none`".to_owned())
}

/// A positive, finite number.
pub fn positive(text: &str) -> Result<f64, String> {
    let fits = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    fits.ok_or_else(|| "it must be a positive number".to_owned())
}

/// Accepts the names of a table, with their help texts.
pub fn names<T>(table: &'static [Choice<T>]) -> PossibleValuesParser {
    let value = |row: &'static Choice<T>| match row.about {
        "" => PossibleValue::new(row.name),
        about => PossibleValue::new(row.name).help(about),
    };
    PossibleValuesParser::new(table.iter().map(value))
}
