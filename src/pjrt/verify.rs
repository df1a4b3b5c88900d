//! Verifies that an installation matches the pinned checksums of its packages.
//!
//! Reading hundreds of megabytes before each run would be slow, so a stamp next to the files records their state when they were last
//! read: size, modification and change times, location on disk. A file's `ctime` cannot be set, so a file changed since then has
//! another stamp and is read again. A stamp in a folder of another user is not trusted.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::packages::{Bundle, Kept, Package, Parts};
use super::{checksum, owner};
use crate::error::{Error, ErrorKind, Result};

/// The name of the stamp file in an installation's folder.
const STAMP: &str = ".verified";

/// Checks the installation of a bundle in `folder`. Its libraries may be missing: programs can be compiled without them.
///
/// # Errors
/// Kind `Plugin` for a file whose checksum differs from the pinned one; kind `Input` if others may write to the folder.
pub fn check(bundle: Bundle, folder: &Path) -> Result<()> {
    let libraries = bundle.libraries.iter().flat_map(Package::kept).filter(|(file, _)| folder.join(file).exists());
    let files: Vec<_> = bundle.kept(Parts::Compiler).chain(libraries).collect();
    check_files(&files, folder).map_err(|wrong| match wrong {
        Wrong::Folder(error) => error,
        Wrong::File(what) => Error::new(
            ErrorKind::Plugin,
            format!(
                "the installed {} plugin cannot be trusted: {what}; `{}` replaces it",
                bundle.platform,
                bundle.command()
            ),
        ),
    })
}

/// Whether `folder` contains a package's files with the pinned checksums. Reads the files.
///
/// # Errors
/// Kind `Input` if others may write to the folder.
pub fn matches(package: &Package, folder: &Path) -> Result<bool> {
    let files: Vec<_> = package.kept().collect();
    check_folders(&files, folder)?;
    Ok(package.complete(folder) && check_sums(&files, folder).is_ok())
}

/// A fault in an installation.
#[derive(Debug)]
enum Wrong {
    Folder(Error),
    File(String),
}

/// A file of an installation and its path in it.
type File<'a> = (&'a str, &'a Kept);

fn check_files(files: &[File<'_>], folder: &Path) -> std::result::Result<(), Wrong> {
    let own = check_folders(files, folder).map_err(Wrong::Folder)?;
    let found = stamp(files, folder)?;
    if own && std::fs::read(folder.join(STAMP)).is_ok_and(|known| known == found.as_bytes()) {
        return Ok(());
    }
    check_sums(files, folder)?;
    // Without a stamp, as in a read-only folder, the next run reads the files again.
    if own {
        drop(write(&found, folder));
    }
    Ok(())
}

/// Whether this user owns all folders that lead to these files. An error if others may write to one.
fn check_folders(files: &[File<'_>], folder: &Path) -> Result<bool> {
    let within = files.iter().flat_map(|(file, _)| Path::new(file).ancestors().skip(1)).collect::<BTreeSet<_>>();
    within.into_iter().try_fold(true, |own, part| Ok(own & owner::check(&folder.join(part))?.is_none()))
}

fn check_sums(files: &[File<'_>], folder: &Path) -> std::result::Result<(), Wrong> {
    for (file, kept) in files {
        let path = folder.join(file);
        let sum = checksum::of_file(&path).map_err(|e| cannot_read(&path, &e))?;
        if sum != kept.sha256 {
            let path = path.display();
            return Err(Wrong::File(format!("the sha256 of {path} is {sum}, not the pinned {}", kept.sha256)));
        }
    }
    Ok(())
}

fn cannot_read(path: &Path, cause: &std::io::Error) -> Wrong {
    Wrong::File(format!("{} cannot be read ({cause})", path.display()))
}

fn stamp(files: &[File<'_>], folder: &Path) -> std::result::Result<String, Wrong> {
    let line = |(file, kept): &File<'_>| {
        let path = folder.join(file);
        let meta = std::fs::metadata(&path).map_err(|e| cannot_read(&path, &e))?;
        Ok(format!("{} {} {file}\n", kept.sha256, state(&meta)))
    };
    files.iter().map(line).collect()
}

fn state(meta: &Metadata) -> String {
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let portable = format!("{} {}", meta.len(), modified.map_or(0, |time| time.as_nanos()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        format!("{portable} {}.{:09} {} {}", meta.ctime(), meta.ctime_nsec(), meta.dev(), meta.ino())
    }
    #[cfg(not(unix))]
    portable
}

fn write(text: &str, folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(folder.join(STAMP))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::time::SystemTime;

    use super::*;

    const ABC: Kept = Kept { bytes: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" };

    fn check_abc(folder: &Path) -> std::result::Result<(), String> {
        check_files(&[("lib.so", &ABC)], folder).map_err(|wrong| format!("{wrong:?}"))
    }

    #[test]
    fn another_file_of_the_same_size_and_time_is_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (folder, file) = (folder.path(), folder.path().join("lib.so"));
        std::fs::write(&file, "abc").expect("a file");
        check_abc(folder).expect("the right file");
        assert!(folder.join(STAMP).exists());
        check_abc(folder).expect("the stamp fits");

        let time = file.metadata().and_then(|meta| meta.modified()).expect("its time");
        std::fs::write(&file, "abd").expect("another file");
        let opened = std::fs::File::options().write(true).open(&file).expect("the file");
        opened.set_times(FileTimes::new().set_modified(time)).expect("its time");
        assert_eq!(file.metadata().and_then(|meta| meta.modified()).expect("its time"), time);
        if cfg!(unix) {
            assert!(check_abc(folder).expect_err("another file").contains("not the pinned ba7816bf"));
        }
    }

    /// A matching stamp is trusted without reading the file.
    #[test]
    fn a_stamp_that_fits_is_believed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        std::fs::write(folder.join("lib.so"), "abd").expect("a file");
        check_abc(folder).expect_err("another file");
        assert!(!folder.join(STAMP).exists());
        let found = stamp(&[("lib.so", &ABC)], folder).expect("its state");
        std::fs::write(folder.join(STAMP), found).expect("a forged stamp");
        check_abc(folder).expect("believed");
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        let opened = std::fs::File::options().write(true).open(folder.join("lib.so")).expect("the file");
        opened.set_modified(later).expect("its time");
        check_abc(folder).expect_err("the stamp no longer fits");
    }

    #[test]
    fn a_file_that_is_not_there_is_said() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(check_abc(folder.path()).expect_err("nothing there").contains("cannot be read"));
    }
}
