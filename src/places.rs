//! Names a location by the text of its line in a notebook cell.
//!
//! A notebook compiles each cell as a separate library, `src/lib.rs` in a temporary folder, preceded by the items of earlier cells. Line
//! numbers of that file are meaningless to the user, so a location is named by the text of its line.

use std::panic::Location;
use std::path::{Path, PathBuf};

/// The file that a cell is compiled from, as it appears in locations.
const FILE: &str = "src/lib.rs";
/// Maximum number of characters shown of a line.
const MOST_LETTERS: usize = 100;

/// Makes errors quote the line of the cell that caused them, when running in a notebook. Each cell is linked with its own copy of this
/// library, so everything that returns such errors must call this again.
pub(crate) fn name_cells() {
    if std::env::var_os(RUNS_CELLS).is_some() {
        spiq_hlo::name_places(name);
    }
}

/// Set in the process that runs the cells.
const RUNS_CELLS: &str = "EVCXR_IS_RUNTIME";

/// The name of a location in a cell; `None` for other locations.
fn name(place: &Location<'_>) -> Option<String> {
    if place.file() != FILE {
        return None;
    }
    let line = source_of(place).and_then(|source| line_of(&source, place.line()));
    Some(line.map_or("an earlier cell".to_owned(), |line| format!("this cell's `{line}`")))
}

/// The text of a line, truncated.
fn line_of(source: &str, line: u32) -> Option<String> {
    let text = source.lines().nth(line as usize - 1)?.trim();
    Some(match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    })
}

/// The source of the running cell, if it contains `place`: its library is the last one loaded, and its source is overwritten by the next
/// cell.
fn source_of(place: &Location<'_>) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let address = std::ptr::from_ref(place).addr();
    let library = maps.lines().find_map(|line| mapped(line, address))?;
    let latest = maps
        .lines()
        .filter_map(|line| Some((cell_number(path_of(line)?)?, path_of(line)?)))
        .max_by_key(|(number, _)| *number)?
        .1;
    if latest != library {
        return None;
    }
    let folder = library.ancestors().find(|folder| folder.join(FILE).is_file())?;
    std::fs::read_to_string(folder.join(FILE)).ok()
}

/// The file of a memory-map line, if its range contains the address.
fn mapped(line: &str, address: usize) -> Option<PathBuf> {
    let (start, rest) = line.split_once('-')?;
    let end = rest.split_once(' ')?.0;
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    let holds = (number(start)?..number(end)?).contains(&address);
    if holds { path_of(line) } else { None }
}

fn path_of(line: &str) -> Option<PathBuf> {
    line.find('/').map(|at| PathBuf::from(&line[at..]))
}

/// The number of a cell's library, as in `libcode_12.so`.
fn cell_number(library: impl AsRef<Path>) -> Option<u32> {
    library.as_ref().file_stem()?.to_str()?.rsplit_once("code_")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_by_its_text() {
        let source = "fn f() {\n    let y = x.dot(&w);\n}";
        assert_eq!(line_of(source, 2).as_deref(), Some("let y = x.dot(&w);"));
        assert_eq!(line_of(source, 9), None);
    }

    #[test]
    fn a_library_is_found_by_an_address_in_it() {
        let line = "7f00-7fff r--p 00000000 08:01 42   /tmp/.tmpX/target/debug/libcode_3.so";
        let library = mapped(line, 0x7f80).expect("in the range");
        assert_eq!(cell_number(&library), Some(3));
        assert_eq!(mapped(line, 0x8000), None);
        assert_eq!(cell_number("/usr/lib/libc.so.6"), None);
    }
}
