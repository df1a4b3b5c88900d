//! Refuses the worst of the phrases that CONTRIBUTING.md's glossary replaces, in comments and in Markdown.

use std::path::{Path, PathBuf};

use regex::Regex;

use crate::project::{Result, root};

/// Each phrase, as a regular expression, and what to write instead.
const PHRASES: [(&str, &str); 12] = [
    (r"\bknows? (nothing|no)\b", "what the file does; an invariant about imports stays once per folder, in mod.rs"),
    (r"\bwanted\b", "requested, required, expected, or target"),
    (r"\bso many\b", "that many, or the number"),
    (r"\b(an?|no) \w+ of (its|one's|their) own\b", "its own …, separate, custom"),
    (r"\bthe way back\b", "backward pass"),
    (r", too\b", "also, as well"),
    (r"\bin the place of\b", "instead of"),
    (r"\brightly\b", "correctly"),
    (r"\b(is|are|was|were) told\b", "receives, is passed"),
    (r"\bthrough with\b", "ends, has finished"),
    (r"\bthat there (is|are)\b", "the existing …, or name the thing"),
    (r"^What (\w+ ){1,6}(is|are|was|were)\b", "a noun phrase that names the thing"),
];

/// Files and folders that are not prose of this project, or that quote the phrases.
const EXCLUDED: [&str; 6] = ["target", "shared", "words.rs", "CONTRIBUTING.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Prints every phrase found, and fails where there is one.
pub fn check() -> Result<()> {
    let faults = faults(&root())?;
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn faults(root: &Path) -> Result<Vec<String>> {
    let phrases = PHRASES.map(|(phrase, better)| {
        let phrase = format!("(?i){phrase}");
        (Regex::new(&phrase).expect("the phrases are regular expressions"), better)
    });
    let code = Regex::new("`[^`]*`").expect("a regular expression");
    let mut faults = Vec::new();
    for path in files(root)? {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(&path).display();
        for (number, line) in prose(&path, &text) {
            let line = code.replace_all(line, "`…`");
            let found = phrases.iter().filter_map(|(phrase, better)| Some((phrase.find(&line)?.as_str(), better)));
            faults.extend(found.map(|(found, better)| format!("{shown}:{number}: {found:?}; write: {better}")));
        }
    }
    Ok(faults)
}

/// All Rust and Markdown files below `folder`, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let refused = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if EXCLUDED.contains(&name.as_str()) || name.starts_with('.') || path.is_symlink() {
            continue;
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs" | "md") => found.push(path),
            _ if path.is_dir() => found.extend(files(&path)?),
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// The lines of prose with their numbers: comments of Rust, text of Markdown outside code.
fn prose<'a>(path: &Path, text: &'a str) -> Vec<(usize, &'a str)> {
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    let mut code = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let prose = if rust {
            line.strip_prefix("//").map(|line| line.trim_start_matches(['/', '!', ' ']))
        } else {
            Some(line)
        };
        let Some(prose) = prose else {
            code = false;
            continue;
        };
        if prose.starts_with("```") {
            code = !code;
        } else if !code {
            lines.push((number, prose));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        if let Err(faults) = check() {
            panic!("CONTRIBUTING.md, English:\n{faults}");
        }
    }

    #[test]
    fn phrases_are_found_in_prose_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        write(
            "a.rs",
            "//! What a file is.\n/// ```\n/// let wanted = 1; // wanted\n/// ```\n/// As wanted, `wanted`.\nlet wanted = \"wanted\";\n",
        );
        write("b.md", "The way back.\n```\nwanted\n```\nGood, too.\n");
        let faults = faults(folder.path()).expect("files that can be read");
        let places: Vec<&str> = faults.iter().map(|fault| fault.split(": ").next().expect("a place")).collect();
        assert_eq!(places, ["a.rs:1", "a.rs:5", "b.md:1", "b.md:5"]);
    }
}
