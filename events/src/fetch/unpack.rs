//! Unpacks an archive into a temporary folder, which becomes the data set once it is complete.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use super::alone::{DRAWN, UNPACKING};
use super::{Said, Step};
use crate::error::{Error, Result};
use crate::readers::Archive;

/// Unpacks an archive, of the type given by its extension, into a new folder in `folder`.
///
/// # Errors
/// `Input` for an incomplete archive, or one without the expected contents; `File` if the disk is full.
pub fn beside(packed: &Path, archive: &Archive, folder: &Path, said: &mut Said) -> Result<TempDir> {
    let target = tempfile::Builder::new().prefix(UNPACKING).rand_bytes(DRAWN).tempdir_in(folder);
    let target = target.map_err(|cause| Error::file("write", folder, cause))?;
    let file = File::open(packed).map_err(|cause| Error::file("read", packed, cause))?;
    let total = file.metadata().map_or(0, |metadata| metadata.len());
    let unpacked = match archive.file {
        name if name.ends_with(".zip") => zip(file, target.path(), said),
        name if name.ends_with(".tar.gz") => {
            // The crate keeps paths within the target and creates the archive's folders.
            tar::Archive::new(GzDecoder::new(Counted { file, done: 0, total, said })).unpack(target.path())
        }
        _ => gunzip(Counted { file, done: 0, total, said }, &target.path().join(archive.holds)),
    };
    unpacked.map_err(|cause| Error::input(format!("{} cannot be unpacked: {cause}", archive.file)))?;
    match target.path().join(archive.holds).exists() {
        true => Ok(target),
        false => Err(Error::input(format!("{} does not contain {}", archive.file, archive.holds))),
    }
}

fn zip(file: File, target: &Path, said: &mut Said) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(BufReader::new(file))?;
    let total = archive.len() as u64;
    for place in 0..archive.len() {
        let mut member = archive.by_index(place)?;
        // `enclosed_name` is `None` for a name that leads out of the folder.
        let Some(name) = member.enclosed_name() else { continue };
        let path = target.join(name);
        if member.is_dir() {
            std::fs::create_dir_all(&path)?;
        } else {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            io::copy(&mut member, &mut File::create(&path)?)?;
        }
        said(Step::Unpack, place as u64 + 1, Some(total));
    }
    Ok(())
}

fn gunzip(packed: impl Read, target: &Path) -> io::Result<()> {
    io::copy(&mut GzDecoder::new(packed), &mut File::create(target)?).map(drop)
}

/// A reader that reports how much it has read.
struct Counted<'a, 'b> {
    file: File,
    done: u64,
    total: u64,
    said: &'a mut Said<'b>,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.done += count as u64;
        (self.said)(Step::Unpack, self.done, Some(self.total));
        Ok(count)
    }
}
