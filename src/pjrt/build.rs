//! The builds of the CPU plugin, and the one that the user chose.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A build of the CPU plugin: of one version of XLA, by one publisher. The plugins of other platforms have only the default one.
///
/// Builds are installed beside each other, and the one that was installed last is used. Their results may differ in the last bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Build {
    /// The default: Google's package, for x86-64 and aarch64.
    #[default]
    Xla,
    /// The newer XLA of jaxlib 0.11, for x86-64.
    Jaxlib011,
}

impl Build {
    /// Every build, the default first.
    pub const ALL: [Build; 2] = [Build::Xla, Build::Jaxlib011];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Build::Xla => "xla",
            Build::Jaxlib011 => "jaxlib-0.11",
        }
    }

    /// The build with this name.
    ///
    /// ```
    /// use spiq::pjrt::Build;
    /// assert_eq!(Build::from_name("jaxlib-0.11"), Some(Build::Jaxlib011));
    /// ```
    pub fn from_name(name: &str) -> Option<Build> {
        Build::ALL.into_iter().find(|build| build.name() == name)
    }

    /// Every build, the chosen one first.
    pub(super) fn in_order(cache: &Path) -> impl Iterator<Item = Build> {
        let chosen = Build::chosen(cache);
        std::iter::once(chosen).chain(Build::ALL.into_iter().filter(move |build| *build != chosen))
    }

    /// The build that was installed last; the default before any other was, or where the file names none of this version.
    fn chosen(cache: &Path) -> Build {
        let text = std::fs::read_to_string(file(cache)).unwrap_or_default();
        Build::from_name(text.trim()).unwrap_or_default()
    }

    /// Makes this the chosen build.
    ///
    /// # Errors
    /// Kind `File` when the choice cannot be written.
    pub(super) fn choose(self, cache: &Path) -> Result<()> {
        if Build::chosen(cache) == self {
            return Ok(());
        }
        self.write(&file(cache)).map_err(|e| Error::file(&file(cache), "write", e))
    }

    /// By a rename, so that a process that reads it meanwhile gets one of both names.
    fn write(self, path: &Path) -> std::io::Result<()> {
        let mut new = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        writeln!(new, "{self}")?;
        new.persist(path)?;
        Ok(())
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The file that names the chosen build.
fn file(cache: &Path) -> PathBuf {
    cache.join("plugins/cpu-build")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_choice_comes_first() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let order = || Build::in_order(cache.path()).collect::<Vec<_>>();
        assert_eq!(order(), Build::ALL);
        Build::Xla.choose(cache.path()).expect("the default needs no file");
        Build::Jaxlib011.choose(cache.path()).expect_err("no folder");
        std::fs::create_dir(cache.path().join("plugins")).expect("the folder");
        Build::Jaxlib011.choose(cache.path()).expect("written");
        assert_eq!(order(), [Build::Jaxlib011, Build::Xla]);
        Build::Xla.choose(cache.path()).expect("written");
        assert_eq!(order(), Build::ALL);
        std::fs::write(file(cache.path()), "a build of another version").expect("written");
        assert_eq!(order(), Build::ALL);
    }
}
