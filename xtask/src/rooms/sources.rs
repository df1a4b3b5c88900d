//! Reads the source files of every crate in the workspace: modules, definitions, re-exports and mentions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::mentions::{self, Mentions};
use crate::project::Result;

/// A crate: the name used in imports, and the folder of its sources.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    pub name: &'static str,
    pub sources: &'static str,
}

/// The crates of the workspace, dependencies first.
pub const PACKAGES: [Package; 6] = [
    Package { name: "spiq_derive", sources: "derive/src" },
    Package { name: "spiq_hlo", sources: "hlo/src" },
    Package { name: "spiq_kernels", sources: "kernels/src" },
    Package { name: "spiq_events", sources: "events/src" },
    Package { name: "spiq", sources: "src" },
    Package { name: "xtask", sources: "xtask/src" },
];

/// A module's path from the crate root: `["pjrt", "ffi"]`; empty for the root itself.
pub type ModulePath = Vec<String>;

/// One source file.
#[derive(Debug)]
pub struct Module {
    /// Relative to the project's root: `src/pjrt/ffi/mod.rs`.
    pub file: PathBuf,
    /// Names of the items defined in it.
    pub defined: BTreeSet<String>,
    /// Re-exports: the name, and the path it refers to.
    pub exported: Vec<(String, Vec<String>)>,
    /// Its paths, macros and keywords, without unit tests.
    pub mentions: Mentions,
}

/// The modules of a crate.
pub type Modules = BTreeMap<ModulePath, Module>;

/// Reads a crate.
///
/// # Errors
/// The name of a file that cannot be read or is not Rust.
pub fn read(root: &Path, package: Package) -> Result<Modules> {
    let mut modules = Modules::new();
    read_folder(root, Path::new(package.sources), &mut Vec::new(), &mut modules)?;
    Ok(modules)
}

fn read_folder(root: &Path, folder: &Path, path: &mut ModulePath, modules: &mut Modules) -> Result<()> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join(folder)).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names {
        let inner = folder.join(&name);
        let Some(stem) = name.strip_suffix(".rs") else {
            if root.join(&inner).is_dir() {
                path.push(name);
                read_folder(root, &inner, path, modules)?;
                path.pop();
            }
            continue;
        };
        let mut of_file = path.clone();
        let is_root = stem == "main" && !root.join(folder).join("lib.rs").exists();
        if !matches!(stem, "mod" | "lib") && !is_root {
            of_file.push(stem.to_owned());
        }
        let module = read_file(root, &inner).map_err(|error| format!("{}: {error}", inner.display()))?;
        modules.insert(of_file, module);
    }
    Ok(())
}

fn read_file(root: &Path, file: &Path) -> Result<Module> {
    let text = std::fs::read_to_string(root.join(file)).map_err(|error| error.to_string())?;
    parse(file, &text)
}

/// Parses a source file.
///
/// # Errors
/// If the text is not Rust.
pub fn parse(file: &Path, text: &str) -> Result<Module> {
    let syntax = syn::parse_file(text).map_err(|error| error.to_string())?;
    Ok(Module {
        file: file.to_owned(),
        defined: mentions::defined(&syntax),
        exported: mentions::exported(&syntax),
        mentions: mentions::of(&syntax),
    })
}
