//! Validates a plugin file before the dynamic linker loads it, so that a wrong file gives a clear error.
//!
//! A truncated library does not fail in the linker but later, with a bus error.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

const HEADER: usize = 64;
const LOAD: u32 = 1;
const SHARED_OBJECT: u16 = 3;
/// Machine numbers that users may encounter.
const MACHINES: [(u16, &str); 5] = [(3, "x86"), (40, "arm"), (62, "x86_64"), (183, "aarch64"), (243, "riscv64")];

/// Checks that the file looks like a shared library for this machine.
///
/// # Errors
/// [`ErrorKind::Plugin`] with one sentence: missing, a folder, empty, not a library, for another machine, cut short.
pub fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|e| fail(format!("cannot read the PJRT plugin {shown}")).because(e))?;
    if meta.is_dir() {
        return Err(fail(format!("the PJRT plugin {shown} is a folder; name the shared library in it")));
    }
    if meta.len() == 0 {
        return Err(fail(format!("the PJRT plugin {shown} is an empty file; install it again")));
    }
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let mut file = File::open(path).map_err(|e| fail(format!("cannot read the PJRT plugin {shown}")).because(e))?;
    let mut header = [0; HEADER];
    let is_library = file.read_exact(&mut header).is_ok() && header.starts_with(b"\x7fELF");
    if !is_library {
        return Err(fail(format!("the PJRT plugin {shown} is not a shared library")));
    }
    check_machine(&header, path)?;
    let end =
        loaded_end(&mut file, &header).map_err(|e| fail(format!("the PJRT plugin {shown} is damaged")).because(e))?;
    if end > meta.len() {
        return Err(fail(format!(
            "the PJRT plugin {shown} is cut short ({} of at least {end} bytes); install it again",
            meta.len()
        )));
    }
    Ok(())
}

fn check_machine(header: &[u8; HEADER], path: &Path) -> Result<()> {
    let (kind, machine) = (number::<2>(header, 16) as u16, number::<2>(header, 18) as u16);
    if header[4] == 2 && kind != SHARED_OBJECT {
        return Err(fail(format!("the PJRT plugin {} is an ELF file but not a shared library", path.display())));
    }
    let here = std::env::consts::ARCH;
    let name = MACHINES.iter().find(|(number, _)| *number == machine).map_or("other", |(_, name)| name);
    if header[4] == 2 && name == here {
        return Ok(());
    }
    Err(fail(format!(
        "the PJRT plugin {} is for {name} machines, but this machine is {here}; install the plugin for {here}",
        path.display()
    )))
}

/// The end of the last byte range that the linker maps.
fn loaded_end(file: &mut File, header: &[u8; HEADER]) -> std::io::Result<u64> {
    let (offset, size, count) = (number::<8>(header, 32), number::<2>(header, 54), number::<2>(header, 56));
    if size < 56 || count == 0 {
        return Err(std::io::Error::other("it has no program headers"));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut table = vec![0; (size * count) as usize];
    file.read_exact(&mut table)?;
    let loads = table.chunks_exact(size as usize).filter(|entry| number::<4>(entry, 0) as u32 == LOAD);
    Ok(loads.map(|entry| number::<8>(entry, 8).saturating_add(number::<8>(entry, 32))).max().unwrap_or(0))
}

/// A little-endian number of `N` bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + N].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn fail(message: String) -> Error {
    Error::new(ErrorKind::Plugin, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_for_this_machine() {
        let own = std::env::current_exe().expect("a running program has a file");
        let text = check(&own).err().map(|e| e.to_string());
        // A position-independent executable has the same ELF type as a library; other executables are rejected.
        assert!(text.is_none() || text.expect("checked").contains("not a shared library"));
    }

    #[test]
    fn numbers_are_little_endian() {
        assert_eq!(number::<4>(&[9, 1, 2, 0, 0], 1), 0x0201);
    }
}
