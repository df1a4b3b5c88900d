//! The keys of one table as text, for `spiq help`.

use super::key::{Absent, Key};

/// The documentation of one table of a file: a title, a sentence, and its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// What the table describes: `LIF`.
    pub title: String,
    /// A sentence about it; may be empty.
    pub about: String,
    /// Its keys.
    pub keys: Vec<Described>,
}

/// One key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Described {
    /// Its name in the file.
    pub name: String,
    /// The type of its value and its default: `number = 1.0`.
    pub value: String,
    /// A sentence about it.
    pub about: String,
}

impl Section {
    pub(crate) fn new(title: impl Into<String>, about: &[&str], keys: &[Key]) -> Section {
        Section { title: title.into(), about: sentence(about), keys: keys.iter().map(Described::of).collect() }
    }

    /// A section whose keys are written here, for tables without [`Key`]s.
    pub(crate) fn of_rows(title: &str, about: &str, rows: impl IntoIterator<Item = [String; 3]>) -> Section {
        let keys = rows.into_iter().map(|[name, value, about]| Described { name, value, about });
        Section { title: title.to_owned(), about: about.to_owned(), keys: keys.collect() }
    }
}

impl Described {
    fn of(key: &Key) -> Described {
        let value = match key.default {
            Absent::Refused => format!("{}, required", key.kind),
            Absent::Means(default) => match default() {
                Some(default) => format!("{} = {default}", key.kind),
                None => format!("{}, optional", key.kind),
            },
        };
        Described { name: key.name.to_owned(), value, about: sentence(key.about) }
    }
}

/// The first sentence of a documentation comment, without links.
fn sentence(lines: &[&str]) -> String {
    let paragraph: Vec<&str> = lines.iter().map(|line| line.trim()).take_while(|line| !line.is_empty()).collect();
    let text = paragraph.join(" ");
    let end = text.match_indices(". ").map(|(at, _)| at).find(|at| {
        let next = text[at + 2..].chars().next();
        // Not after an abbreviation, nor inside a formula.
        next.is_some_and(char::is_uppercase) && text[..*at].matches('`').count().is_multiple_of(2)
    });
    without_links(&text[..end.map_or(text.len(), |at| at + 1)])
}

/// The text with `[words](target)` and `[words]` replaced by the words; brackets inside backquotes stay.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("[`") {
        let Some(end) = rest[start..].find("`]").map(|at| start + at + 1) else { break };
        plain.push_str(&rest[..start]);
        plain.push_str(&rest[start + 1..end]);
        rest = &rest[end + 1..];
        if let Some(close) = rest.strip_prefix('(').and_then(|target| target.find(')')) {
            rest = &rest[close + 2..];
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_the_first_one_without_its_links() {
        for (lines, expected) in [
            (&[" One."][..], "One."),
            (&[" A number", " of two lines. Another sentence."], "A number of two lines."),
            (&[" A paragraph", "", " Another."], "A paragraph"),
            (&[" Type, a name of [`QType`](crate::quant::QType); optional."], "Type, a name of `QType`; optional."),
            (&[" [`Lif`] with `[B, T]`."], "`Lif` with `[B, T]`."),
            (&[" Keys, e. g. this one."], "Keys, e. g. this one."),
        ] {
            assert_eq!(sentence(lines), expected);
        }
    }
}
