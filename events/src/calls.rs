//! Parses lists of `Name(key = value, …)`, the syntax of flags that take arguments.

use toml::Table;

use super::error::{Error, Result};

/// One name with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name.
    pub name: String,
    /// The arguments, as TOML values.
    pub arguments: Table,
}

/// Parses calls separated by commas or semicolons. Parentheses are optional if there are no arguments.
///
/// # Errors
/// `Input` for text that is not a call, or arguments not of the form `key = value`.
///
/// ```
/// let calls = spiq_events::calls("Denoise(filter_time = 1e4), MergePolarities")?;
/// assert_eq!((calls[0].name.as_str(), calls[0].arguments["filter_time"].as_float()), ("Denoise", Some(1e4)));
/// assert_eq!((calls[1].name.as_str(), calls[1].arguments.len()), ("MergePolarities", 0));
/// # Ok::<(), spiq_events::Error>(())
/// ```
pub fn calls(text: &str) -> Result<Vec<Call>> {
    split(text)?.into_iter().map(call).collect()
}

fn call(text: &str) -> Result<Call> {
    let (name, arguments) = match text.split_once('(') {
        Some((name, rest)) => (name.trim_end(), rest.strip_suffix(')')),
        None => (text, Some("")),
    };
    let is_name =
        name.starts_with(|c: char| c.is_alphabetic()) && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let (true, Some(arguments)) = (is_name, arguments) else {
        return Err(Error::input(format!("`{text}` is not of the form `Name(key = value, …)`")));
    };
    // An inline table makes the arguments valid TOML.
    let table: std::result::Result<Table, _> = toml::from_str(&format!("arguments = {{ {arguments} }}"));
    let Some(toml::Value::Table(arguments)) = table.ok().and_then(|mut table| table.remove("arguments")) else {
        let message =
            format!("the arguments of `{name}` are `{arguments}`; give them as `key = value, …`, texts in quotes");
        return Err(Error::input(message));
    };
    Ok(Call { name: name.to_owned(), arguments })
}

/// Splits a text at commas and semicolons outside brackets and quotes. Empty parts are dropped.
///
/// # Errors
/// `Input` for an unmatched bracket or quote.
pub fn split(text: &str) -> Result<Vec<&str>> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0, None);
    for (place, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',' | ';') if depth == 0 => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    if depth != 0 || quote.is_some() {
        return Err(Error::input(format!("`{text}` has an unmatched bracket or quote")));
    }
    parts.push(&text[start..]);
    Ok(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_may_hold_what_divides_calls() {
        let read = calls(r#"A(x = [1, 2], s = "),;"); B_2"#).unwrap();
        assert_eq!(read.iter().map(|call| call.name.as_str()).collect::<Vec<_>>(), ["A", "B_2"]);
        assert_eq!(read[0].arguments["s"].as_str(), Some("),;"));
        assert_eq!(calls(" ").unwrap(), []);
    }

    #[test]
    fn what_is_no_call_is_refused() {
        for text in ["A(", "A)", "A(x)", "A(x = 1) y", "1A", "A(x = 'y)", "(x = 1)", "A(x = 1, x = 2)", "A(x = oh)"] {
            assert!(calls(text).is_err(), "{text}");
        }
    }
}
