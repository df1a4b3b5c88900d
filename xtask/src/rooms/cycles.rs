//! Detects import cycles between folders, and between the rooms at the root of a crate.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Place;
use super::sources::{ModulePath, PACKAGES};

/// A set of folders and files that import each other, and the imports that form the cycle.
#[derive(Debug)]
pub struct Cycle {
    pub members: Vec<String>,
    pub imports: Vec<String>,
}

type Imports = BTreeMap<Place, BTreeSet<Place>>;
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Every cycle that includes a folder, and every cycle at the root of a crate, where files are also rooms. Files of one folder may
/// import each other.
pub fn cycles(imports: &Imports) -> Vec<Cycle> {
    let mut found = Vec::new();
    for (package, of) in PACKAGES.iter().enumerate() {
        let files: Vec<&Place> = imports.keys().filter(|place| place.0 == package).collect();
        let mut folders: BTreeSet<ModulePath> = BTreeSet::new();
        files.iter().for_each(|(_, path)| (0..path.len()).for_each(|end| _ = folders.insert(path[..end].to_vec())));
        for folder in &folders {
            let graph = within(imports, package, folder);
            for members in components(&graph) {
                let is_folder = |name: &String| {
                    let inner: ModulePath = folder.iter().cloned().chain([name.clone()]).collect();
                    folders.contains(&inner)
                };
                if folder.is_empty() || members.iter().any(is_folder) {
                    let name = |name: &String| {
                        [&[of.sources.to_owned()], &folder[..], std::slice::from_ref(name)].concat().join("/")
                    };
                    found.push(Cycle {
                        imports: holding(imports, package, folder, &members),
                        members: members.iter().map(name).collect(),
                    });
                }
            }
        }
    }
    found
}

/// The direct member of `folder` that contains a file: a subfolder, a file, or `mod` for the folder's own file.
fn member(folder: &[String], place: &Place) -> Option<String> {
    let inner = place.1.strip_prefix(folder)?;
    Some(inner.first().map_or("mod", String::as_str).to_owned())
}

/// The imports between a folder's direct members.
fn within(imports: &Imports, package: usize, folder: &[String]) -> Graph {
    let mut graph = Graph::new();
    for (from, targets) in imports.iter().filter(|(from, _)| from.0 == package) {
        let Some(source) = member(folder, from) else { continue };
        let reached = targets.iter().filter(|to| to.0 == package).filter_map(|to| member(folder, to));
        graph.entry(source.clone()).or_default().extend(reached.filter(|target| *target != source));
    }
    graph
}

/// The file imports that form a cycle.
fn holding(imports: &Imports, package: usize, folder: &[String], members: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for (from, targets) in imports.iter().filter(|(from, _)| from.0 == package) {
        for to in targets.iter().filter(|to| to.0 == package) {
            let (Some(source), Some(target)) = (member(folder, from), member(folder, to)) else { continue };
            if source != target && members.contains(&source) && members.contains(&target) {
                lines.push(format!("{} imports {}", from.1.join("/"), to.1.join("/")));
            }
        }
    }
    lines
}

/// Strongly connected components with more than one name.
fn components(graph: &Graph) -> Vec<Vec<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> = graph.keys().map(|name| (name, reachable(graph, name))).collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    for (name, reached) in &reach {
        if found.iter().flatten().any(|member| member == *name) {
            continue;
        }
        let back = |other: &&&String| reach.get(**other).is_some_and(|back| back.contains(name));
        let members: Vec<String> = reached.iter().filter(back).map(|other| (*other).clone()).collect();
        if members.len() > 1 {
            found.push(members);
        }
    }
    found
}

fn reachable<'a>(graph: &'a Graph, from: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = graph.get(from).into_iter().flatten().collect();
    while let Some(name) = open.pop() {
        if reached.insert(name) {
            open.extend(graph.get(name).into_iter().flatten());
        }
    }
    reached
}
