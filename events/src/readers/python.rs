//! Parses Python literals, the format of `.npy` headers.

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Text(String),
    Number(u64),
    Truth(bool),
    /// A list or a tuple.
    List(Vec<Literal>),
    Dictionary(Vec<(String, Literal)>),
}

/// Nesting limit; array headers are shallower.
const DEEPEST: usize = 8;

impl Literal {
    /// Parses a text; `None` if it is not such a literal.
    pub fn parse(text: &str) -> Option<Literal> {
        let mut rest = text;
        let literal = literal(&mut rest, 0)?;
        rest.trim().is_empty().then_some(literal)
    }

    /// The value of a dictionary's key.
    pub fn get(&self, key: &str) -> Option<&Literal> {
        match self {
            Literal::Dictionary(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

fn literal(rest: &mut &str, depth: usize) -> Option<Literal> {
    *rest = rest.trim_start();
    let first = rest.chars().next().filter(|_| depth < DEEPEST)?;
    match first {
        '\'' | '"' => text(rest).map(Literal::Text),
        '(' => items(rest, ')', depth).map(Literal::List),
        '[' => items(rest, ']', depth).map(Literal::List),
        '{' => dictionary(rest, depth),
        '0'..='9' => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, behind) = rest.split_at(end);
            // Python 2 wrote long integers with an L.
            *rest = behind.strip_prefix('L').unwrap_or(behind);
            digits.parse().ok().map(Literal::Number)
        }
        _ => {
            let (truth, behind) = match (rest.strip_prefix("True"), rest.strip_prefix("False")) {
                (Some(behind), _) => (true, behind),
                (_, behind) => (false, behind?),
            };
            *rest = behind;
            Some(Literal::Truth(truth))
        }
    }
}

/// A quoted text without escapes: names of fields and types contain none.
fn text(rest: &mut &str) -> Option<String> {
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (text, behind) = rest[1..].split_once(quote)?;
    *rest = behind;
    (!text.contains('\\')).then(|| text.to_owned())
}

fn items(rest: &mut &str, end: char, depth: usize) -> Option<Vec<Literal>> {
    let mut items = Vec::new();
    *rest = &rest[1..];
    while !ends(rest, end) {
        items.push(literal(rest, depth + 1)?);
        separator(rest, end)?;
    }
    Some(items)
}

fn dictionary(rest: &mut &str, depth: usize) -> Option<Literal> {
    let mut entries = Vec::new();
    *rest = &rest[1..];
    while !ends(rest, '}') {
        let key = text(rest)?;
        *rest = rest.trim_start().strip_prefix(':')?;
        entries.push((key, literal(rest, depth + 1)?));
        separator(rest, '}')?;
    }
    Some(Literal::Dictionary(entries))
}

/// Consumes the closing delimiter if it is next.
fn ends(rest: &mut &str, end: char) -> bool {
    *rest = rest.trim_start();
    let behind = rest.strip_prefix(end);
    *rest = behind.unwrap_or(rest);
    behind.is_some()
}

/// Consumes a comma, which is optional before the closing delimiter.
fn separator(rest: &mut &str, end: char) -> Option<()> {
    *rest = rest.trim_start();
    match rest.strip_prefix(',') {
        Some(behind) => *rest = behind,
        None if rest.starts_with(end) => {}
        None => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_arrays_are_read() {
        let head = "{'descr': [('x', '<i2'), ('t', '<i8')], 'fortran_order': False, 'shape': (3,), }  \n";
        let read = Literal::parse(head).unwrap();
        assert_eq!(read.get("shape"), Some(&Literal::List(vec![Literal::Number(3)])));
        assert_eq!(read.get("fortran_order"), Some(&Literal::Truth(false)));
        let Some(Literal::List(fields)) = read.get("descr") else { panic!("a list") };
        assert_eq!(fields[1], Literal::List(vec![Literal::Text("t".into()), Literal::Text("<i8".into())]));
        assert_eq!(Literal::parse("()"), Some(Literal::List(vec![])));
    }

    #[test]
    fn what_is_none_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "{'a'}",
            "{'a': }",
            "(1 2)",
            "'a",
            "'\\x41'",
            "1e3",
            "99999999999999999999",
            "(1,)x",
            "ä",
            "{ä: 1}",
            "{1: 1}",
            deep.as_str(),
        ] {
            assert_eq!(Literal::parse(text), None, "{text:.20}");
        }
    }
}
