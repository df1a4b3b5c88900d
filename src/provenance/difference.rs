//! Differences between two provenances, and their significance.

use std::borrow::Cow;
use std::fmt;

use super::Row;

/// The effect of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A network's outputs, and therefore the course of a run.
    Outputs,
    /// The course of a run: another value gives another result.
    Run,
    /// Possibly the last bits: the compiler of the program.
    Surroundings,
    /// None: the progress of a run, the location of its data.
    Place,
}

/// An entry whose value has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name, as in [`Provenance`](super::Provenance).
    pub name: &'static str,
    /// Its effect.
    pub scope: Scope,
    words: &'static str,
    flag: &'static str,
    then: String,
    now: String,
}

impl Difference {
    pub(super) fn between(then: Row, now: Row) -> Option<Difference> {
        let Row { name, scope, words, flag, .. } = then;
        let (then, now) = then.text.zip(now.text).filter(|(then, now)| then != now)?;
        let (then, now) = first_lines_that_differ(&then, &now);
        let (then, now) = from_where_they_part(then, now);
        Some(Difference { name, scope, words, flag, then: short(&then), now: short(&now) })
    }

    /// Whether the difference prevents a run from resuming bit-identically.
    pub fn decides_a_run(&self) -> bool {
        matches!(self.scope, Scope::Outputs | Scope::Run)
    }

    /// Whether the difference changes, or may change, a network's outputs.
    pub fn decides_outputs(&self) -> bool {
        matches!(self.scope, Scope::Outputs | Scope::Surroundings)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { words, flag, then, now, .. } = self;
        let flag = if flag.is_empty() { String::new() } else { format!("{flag}: ") };
        // A digest is meaningless to the user.
        if self.name == DATA {
            return write!(f, "other {words} ({})", self.flag);
        }
        write!(f, "another {words} ({flag}{then} there, {now} here)")
    }
}

/// The entry that is a digest of samples.
pub(super) const DATA: &str = "data";

/// Entries that change the samples read from the same file.
pub(super) const OF_SAMPLES: [&str; 6] = ["bins", "dt", "channels", "elements", "transforms", "test_speaker"];

/// The first lines in which two multi-line texts, such as models, differ.
fn first_lines_that_differ<'a>(then: &'a str, now: &'a str) -> (&'a str, &'a str) {
    let (mut then_lines, mut now_lines) = (then.lines(), now.lines());
    loop {
        match (then_lines.next(), now_lines.next()) {
            (None, None) => return (then, now),
            (a, b) if a == b => {}
            (a, b) => return (a.unwrap_or_default(), b.unwrap_or_default()),
        }
    }
}

/// The two lines; if they would look alike after [shortening](short), each from shortly before the first difference.
fn from_where_they_part<'a>(then: &'a str, now: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    const BEFORE: usize = 20;
    if then == now || short(then) != short(now) {
        return (then.into(), now.into());
    }
    let same = then.chars().zip(now.chars()).take_while(|(a, b)| a == b).count();
    let tail = |text: &str| format!("…{}", text.chars().skip(same.saturating_sub(BEFORE)).collect::<String>());
    (tail(then).into(), tail(now).into())
}

/// Maximum length in characters of a value that is shown in full.
const LONGEST: usize = 60;

/// A value shortened to fit into a sentence.
pub(super) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    match line.char_indices().nth(LONGEST) {
        _ if line.is_empty() => "nothing".to_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
