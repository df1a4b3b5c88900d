//! Checks, before the work starts, that a command can write its output file without overwriting its inputs.

use std::path::{Path, PathBuf};

use spiq::train::RUN_FILES;
use spiq::{Error, Result};
use spiq_events::{remove_leftovers, result_builder};

/// Checks that `output` can be written: its folder exists; it is not a folder, link or device; it is none of the files that the command
/// reads, nor inside a folder that it reads.
///
/// # Errors
/// Of kind `Input` or `File`, with the obstacle.
pub fn check<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let refused = |why: String| Err(Error::input(format!("cannot write {}: {why}", output.display())));
    if !folder.is_dir() {
        return refused(format!("there is no folder {}; make it first", folder.display()));
    }
    match output.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => return refused("it is a link; name the file itself".to_owned()),
        Ok(meta) if meta.is_dir() => return refused("it is a folder".to_owned()),
        Ok(meta) if !meta.is_file() => return refused("it is not a regular file".to_owned()),
        _ => {}
    }
    let place = folder.canonicalize().map(|folder| folder.join(output.file_name().unwrap_or_default()));
    let is_read = |input: &&Path| match (input.canonicalize(), &place) {
        (Ok(input), Ok(place)) => place.starts_with(input),
        _ => false,
    };
    if let Some(input) = inputs.into_iter().find(is_read) {
        return match input.is_dir() {
            true => refused(format!("{} is read; write elsewhere", input.display())),
            false => refused("it is read; write to another file".to_owned()),
        };
    }
    // Remove temporary files of killed commands.
    remove_leftovers(folder);
    result_builder().tempfile_in(folder).map(drop).map_err(|error| {
        // Omit the name of the temporary file: it means nothing to the user.
        let cause = std::io::Error::from(error.kind());
        Error::file(output, "write", cause)
    })
}

/// Same as [`check`], for a command that reads the results of these runs; the output may be any other file in their folders.
///
/// # Errors
/// As [`check`].
pub fn check_beside_runs<'a>(output: &Path, runs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let files: Vec<PathBuf> = runs.into_iter().flat_map(|run| RUN_FILES.map(|name| run.join(name))).collect();
    check(output, files.iter().map(PathBuf::as_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_read_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("data")).unwrap();
        for name in ["a.h5", "data/0.bin"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let check = |output: &str, input: &str| check(&at(output), [at(input).as_path()]).map_err(|e| e.to_string());
        assert_eq!(check("b.h5", "a.h5"), Ok(()));
        assert_eq!(check("data.h5", "data"), Ok(()));
        for (output, input) in
            [("a.h5", "a.h5"), ("data/../a.h5", "a.h5"), ("data/0.bin", "data"), ("data/new", "data")]
        {
            assert!(check(output, input).unwrap_err().contains(" read; write "), "{output}");
        }
        assert!(check("data", "a.h5").unwrap_err().ends_with("it is a folder"));
        assert!(check("none/b.h5", "a.h5").unwrap_err().ends_with("none; make it first"));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        assert!(check(&link, []).unwrap_err().to_string().ends_with("it is a link; name the file itself"));
        assert!(check(Path::new("/dev/null"), []).unwrap_err().to_string().ends_with("it is not a regular file"));
    }
}
