//! The libraries that the CUDA plugin opens to run programs, as `spiq doctor` shows them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spiq::pjrt::{self, Place};

/// The command that brings missing libraries.
const INSTALL: &str = "run `spiq plugin install cuda13`";

/// The place of libraries that need no folder beside their plugin's.
const BESIDE: &str = "beside the plugin";

/// The libraries of one of NVIDIA's packages.
#[derive(Debug, Serialize)]
pub struct Package {
    name: &'static str,
    /// What cannot run without them; all programs if absent.
    only_for: Option<&'static str>,
    /// The folder of packages that contains them.
    folder: Option<PathBuf>,
    /// Where they are, in words.
    place: &'static str,
    /// The files that are missing.
    missing: Vec<String>,
}

/// The libraries of a plugin; empty for a plugin that needs none.
pub fn of(plugin: &Path) -> Vec<Package> {
    pjrt::libraries(plugin).into_iter().map(package).collect()
}

fn package(libraries: pjrt::Libraries) -> Package {
    let (folder, place, missing) = match libraries.place {
        Place::Beside(folder) => (Some(folder), BESIDE, Vec::new()),
        Place::Python(folder) => (Some(folder), "a Python package", Vec::new()),
        Place::System => (None, "found by the linker", Vec::new()),
        Place::Missing(files) => (None, "missing", files.into_iter().map(file_name).collect()),
    };
    Package { name: libraries.package, only_for: libraries.only_for, folder, place, missing }
}

fn file_name(file: &str) -> String {
    file.rsplit('/').next().unwrap_or(file).to_owned()
}

/// Lines about them: one for each place, and one for each package with missing files.
pub fn text(packages: &[Package]) -> Vec<String> {
    let mut places: BTreeMap<(&str, Option<&Path>), Vec<&str>> = BTreeMap::new();
    for one in packages.iter().filter(|one| one.missing.is_empty()) {
        places.entry((one.place, one.folder.as_deref())).or_default().push(one.name);
    }
    let there = |((place, folder), names): ((&str, Option<&Path>), Vec<&str>)| {
        let names = if names.len() == packages.len() { "all".to_owned() } else { names.join(", ") };
        let folder = folder.filter(|_| place != BESIDE).map(|folder| format!(" ({})", folder.display()));
        format!("    libraries: {names}: {place}{}", folder.unwrap_or_default())
    };
    let missing = packages.iter().filter(|one| !one.missing.is_empty()).map(|one| {
        let what = one.only_for.unwrap_or("all programs");
        format!("    missing: {} (needed for {what}): {INSTALL}", one.missing.join(", "))
    });
    places.into_iter().map(there).chain(missing).collect()
}

/// What to do about missing libraries.
pub fn advice(packages: &[Package]) -> Option<String> {
    let names: Vec<&str> = packages.iter().flat_map(|one| &one.missing).map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("libraries of the cuda plugin are missing ({}): {INSTALL}", names.join(", ")))
}
