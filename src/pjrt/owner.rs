//! Who may change what lies in a folder of this library's. Plugins and compiled programs are code: what others may put there, they may
//! make the user run. Looks at nothing but folders.

use std::path::Path;

use super::folders::cache_dir;
use crate::error::{Error, Result};

/// Refuses the folder of plugins and compiled programs ([`cache_dir`](super::cache_dir)) where it may be written to by everyone or by
/// a group. Gives a warning in one sentence where it is another user's. A folder that is not there yet is fine: this library makes it
/// with mode 0700.
///
/// # Errors
/// Of kind `Input`, with the command that mends it.
pub fn check_cache() -> Result<Option<String>> {
    let Ok(cache) = cache_dir() else { return Ok(None) };
    let folders = [cache.join("plugins"), cache.join("executables"), cache];
    folders.iter().try_fold(None, |warning, folder| Ok(check(folder)?.or(warning)))
}

/// As [`check_cache`] for one folder.
pub fn check(folder: &Path) -> Result<Option<String>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // What is no folder is said where it is used.
        let Some(meta) = folder.metadata().ok().filter(|meta| meta.is_dir()) else { return Ok(None) };
        let shown = folder.display();
        if meta.mode() & OTHERS_WRITE != 0 {
            return Err(Error::input(format!(
                "others may write to {shown} (mode {:04o}), where code is kept that runs in your name: run \
                 `chmod -R go-w {shown}`, or name a folder of your own in SPIQ_CACHE_DIR",
                meta.mode() & 0o7777
            )));
        }
        if !is_own(meta.uid()) {
            return Ok(Some(format!(
                "{shown} belongs to another user (number {}), whose code may run in your name; a folder of your own can be named in \
                 SPIQ_CACHE_DIR",
                meta.uid()
            )));
        }
    }
    Ok(None)
}

/// The bits of a mode by which the group and everyone may write.
#[cfg(unix)]
const OTHERS_WRITE: u32 = 0o022;

/// Whether a user is this one, or the one who may do everything anyway.
#[cfg(unix)]
fn is_own(user: u32) -> bool {
    unsafe extern "C" {
        safe fn geteuid() -> u32;
    }
    user == 0 || user == geteuid()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn folders_that_others_may_write_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let with = |mode: u32| {
            std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).expect("its mode");
            check(folder.path())
        };
        for fine in [0o700, 0o755, 0o500] {
            assert!(with(fine).expect("a folder of one's own").is_none());
        }
        for wrong in [0o777, 0o770, 0o1777, 0o702] {
            let sentence = with(wrong).expect_err("others may write").to_string();
            assert!(sentence.contains("chmod -R go-w") && sentence.contains(&format!("{wrong:04o}")), "{sentence}");
        }
        assert!(check(&folder.path().join("none")).expect("nothing there").is_none());
    }

    /// Only root may give a folder away.
    #[test]
    fn folders_of_others_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if std::os::unix::fs::chown(folder.path(), Some(12_345), None).is_ok() {
            let warning = check(folder.path()).expect("nobody else may write").expect("a warning");
            assert!(warning.contains("12345"), "{warning}");
        }
    }
}
