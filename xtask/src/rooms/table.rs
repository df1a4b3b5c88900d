//! Parses the tables of rooms in ARCHITECTURE.md: the contents and forbidden imports of each.

use std::collections::BTreeSet;

use crate::project::Result;

/// A folder, or a file at the root of a crate, with its forbidden imports.
#[derive(Debug)]
pub struct Room {
    /// The folder of the crate's sources: `hlo/src`.
    pub sources: String,
    /// Its path in there: `pjrt/ffi`.
    pub path: String,
    /// Its forbidden imports.
    pub barred: Barred,
}

/// The forbidden imports of a room: the words in backticks in the last column of its row. The cell may begin with the crate's rooms as
/// “all” or “all but …”; a semicolon separates anything else.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Barred {
    /// If set, all rooms of its crate except these are forbidden.
    pub all_but: Option<BTreeSet<String>>,
    /// Rooms, crates, paths (`std::fs`), macros (`println!`), `unsafe`.
    pub these: BTreeSet<String>,
}

/// Parses the tables whose header contains `must not import`, under a heading that is the folder of a crate's sources.
///
/// # Errors
/// The line number of a row that names no room.
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
