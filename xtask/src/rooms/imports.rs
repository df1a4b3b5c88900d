//! Resolves which file imports from which, following paths through re-exports to the defining file.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Module, ModulePath, Modules, PACKAGES};

/// A file of the workspace: the index of its crate, and the path of its module.
pub type Place = (usize, ModulePath);

/// All modules, by crate.
pub struct Workspace {
    pub packages: Vec<Modules>,
}

/// Limit for chains of re-exports.
const MOST_EXPORTS: usize = 16;

impl Workspace {
    /// The files that each file imports from.
    pub fn imports(&self) -> BTreeMap<Place, BTreeSet<Place>> {
        let mut imports = BTreeMap::new();
        for (package, modules) in self.packages.iter().enumerate() {
            for (path, module) in modules {
                let here = (package, path.clone());
                let found = module.mentions.paths.iter().flat_map(|names| self.targets(&here, names));
                let found: BTreeSet<Place> = found.filter(|place| *place != here).collect();
                imports.insert(here, found);
            }
        }
        imports
    }

    fn module(&self, place: &Place) -> &Module {
        &self.packages[place.0][&place.1]
    }

    /// The files that define the target of a path; none for a path outside the workspace.
    fn targets(&self, here: &Place, names: &[String]) -> Vec<Place> {
        let Some((mut at, rest)) = self.start(here, names) else { return Vec::new() };
        let Some((last, modules)) = rest.split_last() else { return vec![at] };
        for name in modules {
            match self.child(&at, name).or_else(|| self.exporter(&at, name, MOST_EXPORTS)) {
                Some(next) => at = next,
                // A variant or associated function of an item defined by a macro in this file.
                None => return vec![at],
            }
        }
        match last.as_str() {
            "*" => vec![at],
            // If no file defines it textually, a macro does, in the last file of the chain.
            last => vec![self.child(&at, last).or_else(|| self.exporter(&at, last, MOST_EXPORTS)).unwrap_or(at)],
        }
    }

    /// Resolves the start of a path; returns the remaining names.
    fn start<'a>(&self, here: &Place, names: &'a [String]) -> Option<(Place, &'a [String])> {
        let (package, path) = here;
        let (first, rest) = names.split_first()?;
        match first.as_str() {
            "crate" => Some(((*package, Vec::new()), rest)),
            "self" => Some((here.clone(), rest)),
            "super" => {
                let supers = names.iter().take_while(|name| *name == "super").count();
                let outer = path.len().checked_sub(supers)?;
                Some(((*package, path[..outer].to_vec()), &names[supers..]))
            }
            name => match PACKAGES.iter().position(|package| package.name == name) {
                Some(package) => Some(((package, Vec::new()), rest)),
                None => self.child(here, name).map(|child| (child, rest)),
            },
        }
    }

    /// The child module with this name.
    fn child(&self, place: &Place, name: &str) -> Option<Place> {
        let path: ModulePath = place.1.iter().cloned().chain([name.to_owned()]).collect();
        self.packages[place.0].contains_key(&path).then_some((place.0, path))
    }

    /// The file that defines `name` as seen from a module.
    fn exporter(&self, place: &Place, name: &str, left: usize) -> Option<Place> {
        let module = self.module(place);
        if module.defined.contains(name) {
            return Some(place.clone());
        }
        let left = left.checked_sub(1)?;
        let named = module.exported.iter().filter(|(called, _)| called == name);
        let found = named.flat_map(|(_, path)| self.targets(place, path)).next();
        found.or_else(|| {
            let globs = module.exported.iter().filter(|(called, _)| called == "*");
            globs.flat_map(|(_, path)| self.targets(place, path)).find_map(|from| self.exporter(&from, name, left))
        })
    }
}
