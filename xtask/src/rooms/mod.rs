//! Checks that the project's rooms (its folders) import only what ARCHITECTURE.md allows, and that no two import each other.

mod cycles;
mod imports;
mod mentions;
mod picture;
mod sources;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use imports::{Place, Workspace};
use picture::Layers;
use sources::{Module, ModulePath, Modules, PACKAGES};
use table::{Barred, Room};

use crate::project::Result;

/// The rooms, the files in them, and what those import.
struct House {
    rooms: Vec<Room>,
    layers: Layers,
    workspace: Workspace,
    imports: BTreeMap<Place, BTreeSet<Place>>,
}

/// Prints what each room imports; fails like the test on a forbidden import.
pub fn show() -> Result<()> {
    let house = House::read(&crate::project::root())?;
    for (package, room) in house.rooms.iter().filter_map(|room| Some((package_of(room)?, room))) {
        let names = house.imported_rooms(package, room);
        println!("{}/{}: {}", room.sources, room.path, names.into_iter().collect::<Vec<_>>().join(" "));
    }
    match house.faults().as_slice() {
        [] => Ok(()),
        faults => Err(faults.join("\n")),
    }
}

impl House {
    fn read(root: &Path) -> Result<House> {
        let path = root.join("ARCHITECTURE.md");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("cannot read ARCHITECTURE.md: {error}"))?;
        let packages =
            PACKAGES.iter().map(|package| sources::read(root, *package)).collect::<Result<Vec<Modules>>>()?;
        House::new(&text, packages)
    }

    /// The project with this text of ARCHITECTURE.md.
    fn new(text: &str, packages: Vec<Modules>) -> Result<House> {
        let workspace = Workspace { packages };
        let imports = workspace.imports();
        Ok(House { rooms: table::rooms(text)?, layers: picture::layers(text), workspace, imports })
    }

    /// The violations, one sentence each.
    fn faults(&self) -> Vec<String> {
        let mut faults = self.unlisted();
        for (place, module) in self.files() {
            if let Some(room) = self.room_of(&place) {
                faults.extend(self.wrong_imports(room, &place));
                faults.extend(wrong_mentions(room, module));
            }
        }
        faults.extend(self.against_the_picture());
        faults.extend(cycles::cycles(&self.imports).into_iter().map(|cycle| {
            let imports = cycle.imports.join("\n  ");
            format!("{} import each other; move what they share:\n  {imports}", cycle.members.join(", "))
        }));
        faults
    }

    fn files(&self) -> impl Iterator<Item = (Place, &Module)> {
        let packages = self.workspace.packages.iter().enumerate();
        packages.flat_map(|(package, modules)| modules.iter().map(move |(path, file)| ((package, path.clone()), file)))
    }

    /// Files without a row in ARCHITECTURE.md, and rows without a file. Crate roots need no row.
    fn unlisted(&self) -> Vec<String> {
        let lonely = self.files().filter(|(place, _)| !place.1.is_empty() && self.room_of(place).is_none());
        let lonely = lonely.map(|(_, module)| {
            format!("{} belongs to no room of ARCHITECTURE.md; give its folder a row", module.file.display())
        });
        let empty = self.rooms.iter().filter(|room| match package_of(room) {
            Some(package) => !self.workspace.packages[package].keys().any(|path| is_in(path, &room.path)),
            None => true,
        });
        let empty = empty
            .map(|room| format!("ARCHITECTURE.md has a row for {}/{}, which is not there", room.sources, room.path));
        lonely.chain(empty).collect()
    }

    /// The room of a file: that of the innermost folder with a row.
    fn room_of(&self, place: &Place) -> Option<&Room> {
        let around = |room: &&Room| package_of(room) == Some(place.0) && is_in(&place.1, &room.path);
        self.rooms.iter().filter(around).max_by_key(|room| room.path.len())
    }

    fn wrong_imports(&self, room: &Room, place: &Place) -> Vec<String> {
        let file = |place: &Place| self.workspace.packages[place.0][&place.1].file.display();
        let wrong = self.imports[place].iter().filter_map(|to| {
            let (name, is_barred) = match self.room_of(to) {
                _ if to.0 != place.0 => (PACKAGES[to.0].name, room.barred.these.contains(PACKAGES[to.0].name)),
                Some(other) if other.path == room.path => return None,
                Some(other) => (other.path.as_str(), room.bars_room(&other.path)),
                None => ("the crate's root", true),
            };
            is_barred
                .then(|| format!("{} imports {} of {name}, which {} must not import", file(place), file(to), room.path))
        });
        wrong.collect()
    }

    /// Imports that violate the order of the picture, and rooms missing from it.
    fn against_the_picture(&self) -> BTreeSet<String> {
        let name = |room: &Room| format!("{}/{}", room.sources, room.path);
        let pairs = self.imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
        let wrong = pairs.filter_map(|(from, to)| {
            let [from, to] = [from, to].map(|place| self.room_of(place).map(name));
            picture::fault(&self.layers, &from?, &to?)
        });
        let missing = self.rooms.iter().map(name).filter(|room| !self.layers.contains_key(room));
        let missing = missing.map(|room| format!("{room} is not in the picture of ARCHITECTURE.md"));
        wrong.chain(missing).collect()
    }

    /// The rooms of its crate, and the other crates, that a room imports from.
    fn imported_rooms(&self, package: usize, room: &Room) -> BTreeSet<String> {
        let inside = |place: &Place| self.room_of(place).is_some_and(|of| std::ptr::eq(of, room));
        let targets = self.imports.iter().filter(|(from, _)| from.0 == package && inside(from)).flat_map(|(_, to)| to);
        let outside = targets.filter(|to| !inside(to));
        outside
            .map(|to| match self.room_of(to) {
                _ if to.0 != package => PACKAGES[to.0].name.to_owned(),
                other => other.map_or("lib".to_owned(), |room| room.path.clone()),
            })
            .collect()
    }
}

impl Room {
    /// Whether this room must not import another room of its crate.
    fn bars_room(&self, name: &str) -> bool {
        let Barred { all_but, these } = &self.barred;
        all_but.as_ref().is_some_and(|allowed| !names(allowed, name)) || names(these, name)
    }
}

/// Whether the set contains a room or a folder around it.
fn names(words: &BTreeSet<String>, room: &str) -> bool {
    words.iter().any(|word| room == word || room.strip_prefix(word.as_str()).is_some_and(|rest| rest.starts_with('/')))
}

/// Forbidden paths of the standard library and other crates, macros, and `unsafe`.
fn wrong_mentions(room: &Room, module: &Module) -> Vec<String> {
    let mentions = &module.mentions;
    let mentioned = |word: &&String| match word.as_str() {
        "unsafe" => mentions.is_unsafe,
        word if word.ends_with('!') => mentions.macros.contains(word),
        word => {
            let names: Vec<&str> = word.split("::").collect();
            names.len() > 1
                && mentions
                    .paths
                    .iter()
                    .any(|path| path.iter().map(String::as_str).take(names.len()).eq(names.iter().copied()))
        }
    };
    let wrong = room.barred.these.iter().filter(mentioned);
    wrong.map(|word| format!("{} uses {word}, which {} must not", module.file.display(), room.path)).collect()
}

/// The index of a room's crate.
fn package_of(room: &Room) -> Option<usize> {
    PACKAGES.iter().position(|package| package.sources == room.sources)
}

/// Whether a module is in the folder, or is the file, at this path.
fn is_in(path: &ModulePath, room: &str) -> bool {
    let mut names = path.iter();
    room.split('/').all(|name| names.next().is_some_and(|of| of == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_import_what_they_may_and_none_is_in_a_cycle() {
        let faults = House::read(&crate::project::root()).expect("the project's own files").faults();
        assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    }

    /// A crate `src` with these files and two rooms.
    fn house(files: &[(&str, &str)], bar: &str) -> House {
        let picture = "```rooms\nsrc low │ high\n```\n";
        let head = "### src\n| room | holds | must not import |\n|---|---|---|\n";
        let text = format!("{picture}{head}| `low` | x | {bar} |\n| `high` | x | |\n");
        let modules = files.iter().map(|(file, text)| {
            let path = file.trim_end_matches(".rs").split('/').filter(|name| !matches!(*name, "mod" | "lib"));
            let module = sources::parse(Path::new(file), text).expect("Rust");
            (path.map(str::to_owned).collect(), module)
        });
        let of = |package: &sources::Package| match package.sources {
            "src" => modules.clone().collect(),
            _ => Modules::new(),
        };
        House::new(&text, PACKAGES.iter().map(of).collect()).expect("a table")
    }

    const HIGH: (&str, &str) = ("high/mod.rs", "mod roof;\npub use roof::Roof;");
    const ROOF: (&str, &str) = ("high/roof.rs", "pub struct Roof;");

    #[test]
    fn a_barred_import_is_found_through_re_exports_and_in_macros() {
        for import in [
            "use crate::high::Roof;",
            "fn f() -> crate::high::Roof { todo!() }",
            "fn f() { g!(crate::high::Roof) }",
            "use crate::Roof;",
            "use crate::high::{self};",
            "use super::high::roof::*;",
        ] {
            let root = ("lib.rs", "mod high; mod low; pub use high::Roof;");
            let faults = house(&[root, ("low/mod.rs", import), HIGH, ROOF], "`high`").faults();
            assert!(faults.len() == 1 && faults[0].contains("low must not import"), "{import}: {faults:?}");
            assert!(house(&[root, ("low/mod.rs", import), HIGH, ROOF], "").faults().is_empty(), "{import}");
        }
    }

    #[test]
    fn an_import_of_what_a_macro_defines_is_found() {
        let roof = ("high/roof.rs", "build! { pub struct Roof; }");
        let faults = house(&[("low/mod.rs", "use crate::high::Roof;"), HIGH, roof], "`high`").faults();
        assert!(faults.len() == 1 && faults[0].contains("high/roof.rs"), "{faults:?}");
    }

    #[test]
    fn unit_tests_may_import_anything() {
        let text = "#[cfg(test)]\nmod tests { use crate::high::Roof; }";
        assert!(house(&[("low/mod.rs", text), HIGH, ROOF], "`high`").faults().is_empty());
    }

    #[test]
    fn macros_paths_and_unsafe_are_found() {
        let text = "fn f() { println!(\"\"); std::fs::read(\"\"); unsafe { g() } }";
        let faults = house(&[("low/mod.rs", text), HIGH, ROOF], "`println!` `std::fs` `unsafe` `std::thread`").faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn everything_but_what_is_named_is_barred() {
        let files = [("low/mod.rs", "use crate::high::Roof;"), HIGH, ROOF];
        assert_eq!(house(&files, "all").faults().len(), 1);
        assert_eq!(house(&files, "all but `high`").faults(), Vec::<String>::new());
        let files = [("low/mod.rs", "use crate::high::Roof; fn f() { println!() }"), HIGH, ROOF];
        assert_eq!(house(&files, "all; `println!`").faults().len(), 2);
    }

    #[test]
    fn a_cycle_is_found_with_the_imports_that_hold_it() {
        let files = [
            ("low/mod.rs", "use crate::high::Roof; pub struct Low;"),
            HIGH,
            ("high/roof.rs", "use crate::low::Low; pub struct Roof;"),
        ];
        let faults = house(&files, "").faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("src/high imports src/low, which is not below it"), "{faults:?}");
        assert!(
            faults[1].contains("low imports high/roof") && faults[1].contains("high/roof imports low"),
            "{faults:?}"
        );
    }

    #[test]
    fn a_folder_without_a_row_and_a_row_without_a_folder_are_found() {
        let faults = house(&[("attic/mod.rs", ""), ("low/mod.rs", "")], "").faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
