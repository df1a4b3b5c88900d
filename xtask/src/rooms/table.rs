//! The table of rooms in ARCHITECTURE.md: what each holds, and what it must not import.

use std::collections::BTreeSet;

use crate::project::Result;

/// A folder, or a file at the root of a crate, with what it must not import.
#[derive(Debug)]
pub struct Room {
    /// The folder of the crate's sources: `hlo/src`.
    pub sources: String,
    /// Where it lies in there: `pjrt/ffi`.
    pub path: String,
    /// What it must not import.
    pub barred: Barred,
}

/// What a room must not import: words in backticks in the last column of its row. Rooms of the crate may stand first, as “all” or
/// “all but …”; then, behind a semicolon, anything else.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Barred {
    /// Every room of its crate is barred but these.
    pub all_but: Option<BTreeSet<String>>,
    /// Rooms, crates, paths (`std::fs`), macros (`println!`), `unsafe`.
    pub these: BTreeSet<String>,
}

/// Reads the tables of rooms: those whose head says `must not import`, below a heading that is the folder of a crate's sources.
///
/// # Errors
/// A row that names no room, by its line.
pub fn rooms(text: &str) -> Result<Vec<Room>> {
    let (mut sources, mut inside, mut rooms) = (String::new(), false, Vec::new());
    for (number, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("### ") {
            sources = heading.trim().trim_matches('`').to_owned();
        }
        let Some(row) = line.strip_prefix('|') else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = row.trim_end().trim_end_matches('|').split('|').map(str::trim).collect();
        match (inside, cells.last()) {
            (false, Some(&"must not import")) => inside = true,
            (true, Some(last)) if !last.starts_with("---") => {
                let names = quoted(cells[0]);
                if names.is_empty() {
                    return Err(format!("ARCHITECTURE.md:{}: the row names no room in backticks", number + 1));
                }
                rooms.extend(names.into_iter().map(|path| Room {
                    sources: sources.clone(),
                    path,
                    barred: barred(last),
                }));
            }
            _ => {}
        }
    }
    Ok(rooms)
}

fn barred(cell: &str) -> Barred {
    let set = |text: &str| quoted(text).into_iter().collect();
    match cell.starts_with("all") {
        true => {
            let (rooms, others) = cell.split_once(';').unwrap_or((cell, ""));
            Barred { all_but: Some(set(rooms)), these: set(others) }
        }
        false => Barred { all_but: None, these: set(cell) },
    }
}

/// The words in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
