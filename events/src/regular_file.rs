//! Opens regular files only and limits the size of texts, so that an untrusted file cannot block a reader or exhaust memory.

use std::fs::File;
use std::io::{Error, Read, Result};
use std::path::Path;

/// The largest text written by people, such as a model or rules, in bytes: about a million lines.
pub const LONGEST_TEXT: u64 = 64 << 20;

/// Opens a file for reading.
///
/// # Errors
/// Those of the system; also for a folder, a device or a pipe, as opening or reading those may never end.
pub fn open_file(path: &Path) -> Result<File> {
    if !path.metadata()?.is_file() {
        return Err(Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// The bytes of a file, without a size limit.
///
/// # Errors
/// As [`open_file`].
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file written by people.
///
/// # Errors
/// As [`open_file`]; also if it is longer than [`LONGEST_TEXT`], or not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    text_of(open_file(path)?, LONGEST_TEXT)
}

fn text_of(file: File, longest: u64) -> Result<String> {
    let mut bytes = Vec::new();
    // The file may grow after the system reported its length.
    file.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        return Err(Error::other(format!("it is larger than {} MiB, too large for a text file", longest >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        Error::other(format!("it is not UTF-8 text (see byte {place})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(result: Result<T>) -> String {
        result.err().expect("not to be read").to_string()
    }

    #[test]
    fn texts_end() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "abc").expect("its text");
        assert_eq!(read_text(file.path()).expect("a text"), "abc");
        let limited = |longest| text_of(File::open(file.path()).expect("the file"), longest);
        assert_eq!(limited(3).expect("as long as it may be"), "abc");
        assert_eq!(refused(limited(2)), "it is larger than 0 MiB, too large for a text file");
        std::fs::write(file.path(), b"ab\xff").expect("its bytes");
        assert_eq!(refused(read_text(file.path())), "it is not UTF-8 text (see byte 2)");
        // A sparse file with the full length.
        file.as_file().set_len(LONGEST_TEXT + 1).expect("its length");
        assert_eq!(refused(read_text(file.path())), "it is larger than 64 MiB, too large for a text file");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_need_not_end_is_not_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        for path in [Path::new("/dev/zero"), folder.path(), &pipe] {
            assert_eq!(refused(read_text(path)), "it is not a regular file");
            assert_eq!(refused(read_file(path)), "it is not a regular file");
        }
        assert!(refused(read_text(&folder.path().join("none"))).contains("No such file"));
    }
}
