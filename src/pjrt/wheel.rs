//! Checks wheels and unpacks the files kept from them.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::checksum::{self, Checksum};
use super::folders::create_private;
use super::packages::{Kept, Package, Wheel};
use crate::error::{Error, ErrorKind, Result};

/// Checks that a file is the pinned wheel.
///
/// # Errors
/// Kind `File` when it cannot be read; kind `Plugin` when it is another file, with both checksums or sizes.
pub fn check(package: &Package, wheel: &Wheel, file: &Path, come_from: &str) -> Result<()> {
    let other = |what: String| {
        Error::new(
            ErrorKind::Plugin,
            format!(
                "{} is not {} {} for {}: {what}; {come_from}",
                file.file_name().unwrap_or(file.as_os_str()).display(),
                package.name,
                package.version,
                wheel.arch
            ),
        )
    };
    let bytes = file.metadata().map_err(|e| Error::file(file, "read", e))?.len();
    if bytes != wheel.bytes {
        return Err(other(format!("it has {bytes} bytes, not {}", wheel.bytes)));
    }
    let sum = checksum::of_file(file).map_err(|e| Error::file(file, "read", e))?;
    if sum != wheel.sha256 {
        return Err(other(format!("its sha256 is {sum}, not the pinned {}", wheel.sha256)));
    }
    Ok(())
}

/// Unpacks the kept files of a checked wheel into `ready`, and verifies them. `report` receives bytes done and total.
pub fn unpack(
    package: &Package,
    kept: &[Kept],
    wheel: &Path,
    ready: &Path,
    report: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let broken = |e| Error::new(ErrorKind::Plugin, format!("cannot unpack {}", wheel.display())).because(e);
    let file = File::open(wheel).map_err(|e| Error::file(wheel, "read", e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for ((inside, outside), kept) in package.files.iter().zip(kept) {
        let mut entry = archive.by_name(inside).map_err(broken)?;
        let target = ready.join(outside);
        create_private(target.parent().unwrap_or(ready))?;
        let sum = copy(&mut entry, &target, &mut |done| report(done, kept.bytes));
        let sum = sum.map_err(|e| Error::file(&target, "write", e))?;
        if sum != kept.sha256 {
            let what = format!("the sha256 of {inside} in {} is {sum}, not the pinned {}", package.name, kept.sha256);
            return Err(Error::new(ErrorKind::Plugin, what));
        }
    }
    Ok(())
}

/// Copies to a file and returns its checksum.
fn copy(from: &mut impl Read, to: &Path, report: &mut dyn FnMut(u64)) -> std::io::Result<String> {
    let mut file = File::create(to)?;
    let mut block = vec![0; 4 << 20];
    let (mut done, mut sum) = (0, Checksum::default());
    loop {
        let read = from.read(&mut block)?;
        if read == 0 {
            break;
        }
        file.write_all(&block[..read])?;
        sum.add(&block[..read]);
        done += read as u64;
        report(done);
    }
    make_executable(&file)?;
    Ok(sum.finish())
}

/// `ptxas` is a program; libraries are conventionally executable.
fn make_executable(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    file.sync_all()
}
