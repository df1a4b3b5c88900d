//! Trees of arrays in safetensors files: parameters, states, anything with `#[derive(Tree)]`.

use std::collections::BTreeMap;
use std::path::Path;

use spiq_hlo::{Array, Leaf, Tree};

use super::array_file::ArrayFile;
use crate::error::{Error, Result};

/// Writes the arrays of a tree to a safetensors file, each under its path; static values are not stored. A file of the same name is
/// replaced once the new one is complete.
///
/// # Errors
/// Of kind `File` when the file cannot be written; of kind `Input` for two leaves with the same path.
///
/// ```
/// use spiq::{Array, Tree};
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("params.safetensors");
/// #[derive(Clone, Debug, PartialEq, Tree)]
/// struct Linear<T> {
///     kernel: T,
///     bias: Option<T>,
/// }
/// let zeros = Linear { kernel: Array::new([2], [0.0f32; 2])?, bias: None };
/// let params = Linear { kernel: Array::new([2], [1.0f32, 2.0])?, bias: None };
/// spiq::save(&file, &params)?;
/// assert_eq!(spiq::load(&file, &zeros)?, params);
///
/// let other = Linear { kernel: Array::new([3], [0.0f32; 3])?, bias: None };
/// let error = spiq::load(&file, &other).unwrap_err().to_string();
/// assert!(error.ends_with("params.safetensors: `kernel` is f32[2] in the file and f32[3] in the tree"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save(path: &Path, tree: &impl Tree<Array>) -> Result<()> {
    let mut arrays = BTreeMap::new();
    for (name, array) in tree.by_path() {
        if arrays.insert(name.clone(), array.clone()).is_some() {
            return Err(Error::input(format!("cannot write {}: two leaves have the path `{name}`", path.display())));
        }
    }
    ArrayFile { arrays, metadata: BTreeMap::new() }.write_checked(path)
}

/// Reads a tree from a file that [`save`] wrote. `like` determines its structure, its types and its static values; its numbers are not
/// read.
///
/// # Errors
/// Of kind `File` when the file cannot be read; of kind `Input` when it is damaged, or has other paths or types than `like`: one
/// sentence with the first of them.
pub fn load<T: Tree<Array>>(path: &Path, like: &T) -> Result<T> {
    let found = ArrayFile::read(path)?.arrays;
    let wrong = |message: String| Error::input(format!("{}: {message}", path.display()));
    let names: BTreeMap<String, Named> = like.by_path().into_iter().map(|(name, _)| (name, Named)).collect();
    let stored: BTreeMap<String, Named> = found.keys().map(|name| (name.clone(), Named)).collect();
    stored.structure().check(&names.structure(), "the file", "the tree").map_err(|error| wrong(error.to_string()))?;
    if let Some((name, array, ty)) = like
        .by_path()
        .into_iter()
        .map(|(name, array)| (name.clone(), &found[&name], array.ty()))
        .find(|(_, array, ty)| array.ty() != *ty)
    {
        return Err(wrong(format!("`{name}` is {} in the file and {ty} in the tree", array.ty())));
    }
    let mut leaves = like.paths().into_iter().map(|name| found[&name].clone());
    Ok(like.map(|_| leaves.next().expect("an array for each leaf")))
}

/// A leaf of which only the path matters.
struct Named;

impl Leaf for Named {}
