//! Checks who may write to this library's folders. Plugins and compiled programs are code: whoever can write them can run code as the
//! user.

use std::path::Path;

use super::folders::cache_dir;
use crate::error::{Error, Result};

/// Refuses the folder of plugins and compiled programs ([`cache_dir`](super::cache_dir)) if everyone or a group may write to it.
/// Returns a one-sentence warning if it belongs to another user. A missing folder is fine: this library creates it with mode 0700.
///
/// # Errors
/// Kind `Input`, with the command that fixes it.
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
        // If it is not a folder, the code that uses it reports that.
        let Some(meta) = folder.metadata().ok().filter(|meta| meta.is_dir()) else { return Ok(None) };
        let shown = folder.display();
        if meta.mode() & OTHERS_WRITE != 0 {
            return Err(Error::input(format!(
                "others may write to {shown} (mode {:04o}), but the code in it runs under your account: run \
                 `chmod -R go-w {shown}`, or set SPIQ_CACHE_DIR to a folder that only you can write to",
                meta.mode() & 0o7777
            )));
        }
        if !is_own(meta.uid()) {
            return Ok(Some(format!(
                "{shown} belongs to another user (uid {}), whose code may run under your account; set SPIQ_CACHE_DIR to a folder \
                 that you own",
                meta.uid()
            )));
        }
    }
    Ok(None)
}

/// The mode bits that let the group and everyone write.
#[cfg(unix)]
const OTHERS_WRITE: u32 = 0o022;

/// Whether a user is the current one or root.
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

    /// Only root can change the owner of a folder.
    #[test]
    fn folders_of_others_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if std::os::unix::fs::chown(folder.path(), Some(12_345), None).is_ok() {
            let warning = check(folder.path()).expect("nobody else may write").expect("a warning");
            assert!(warning.contains("12345"), "{warning}");
        }
    }
}
