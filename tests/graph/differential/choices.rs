//! Deliberate differences from JAX: the table of choices, and the check that it matches the programs exactly.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Choices {
    #[serde(default)]
    difference: Vec<Difference>,
}

/// A choice, with the programs that exhibit it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    what: String,
    reason: String,
    programs: Vec<String>,
}

impl Choices {
    pub fn load() -> Choices {
        let path = format!("{}/tests/reference/differences.toml", env!("CARGO_MANIFEST_DIR"));
        toml::from_str(&std::fs::read_to_string(path).expect("the table of choices")).expect("a table of choices")
    }

    /// Differences without a choice, and choices without a difference.
    pub fn complaints(&self, found: &BTreeMap<String, String>) -> Vec<String> {
        let chosen: Vec<(&str, &str)> = self
            .difference
            .iter()
            .flat_map(|d| d.programs.iter().map(|name| (name.as_str(), d.what.as_str())))
            .collect();
        let new = found.iter().filter(|(name, _)| chosen.iter().all(|(chosen, _)| chosen != name));
        let gone = chosen.iter().filter(|(name, _)| !found.contains_key(*name));
        let unreasoned = self.difference.iter().filter(|d| d.reason.is_empty() || d.programs.is_empty());
        new.map(|(_, message)| message.clone())
            .chain(gone.map(|(name, what)| format!("{name} agrees with JAX, but is chosen to differ: {what}")))
            .chain(unreasoned.map(|d| format!("no reason or no program: {}", d.what)))
            .collect()
    }
}
