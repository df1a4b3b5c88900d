//! Prints a wheel's row for the pinned packages of plugins (src/pjrt/packages.rs), computed with `sha256sum` and `unzip`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::project::Result;

/// Prints the row of a wheel from which `files` are kept.
pub(crate) fn print(wheel: &str, files: &[&str]) -> Result<()> {
    let bytes = std::fs::read(wheel).map_err(|cause| format!("cannot read {wheel}: {cause}"))?;
    let (arch, tag) = machine(wheel)?;
    println!("Wheel {{\n    arch: \"{arch}\",\n    tag: \"{tag}\",\n    sha256: \"{}\",", sha256(&bytes)?);
    println!("    bytes: {},\n    kept: &[", grouped(bytes.len()));
    for file in files {
        let contents = output(Command::new("unzip").args(["-p", wheel, file]), &[])?;
        println!("        kept({}, \"{}\"),", grouped(contents.len()), sha256(&contents)?);
    }
    println!("    ],\n}},");
    Ok(())
}

/// The machine in a wheel's name, and its platform tag with a glibc version, by which pip selects it.
fn machine(wheel: &str) -> Result<(&str, &str)> {
    let name = Path::new(wheel).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let mut tags = name.rsplit('-').next().unwrap_or_default().split('.');
    let tag = tags.rfind(|tag| tag.starts_with("manylinux_2_"));
    let tag = tag.ok_or_else(|| format!("the name of {wheel} has no tag manylinux_2_…"))?;
    let arch = ["x86_64", "aarch64"].into_iter().find(|arch| tag.ends_with(arch));
    Ok((arch.ok_or_else(|| format!("{tag} is neither for x86_64 nor for aarch64"))?, tag))
}

fn sha256(bytes: &[u8]) -> Result<String> {
    let line = output(&mut Command::new("sha256sum"), bytes)?;
    Ok(String::from_utf8_lossy(&line).split_whitespace().next().unwrap_or_default().to_owned())
}

/// A command's output for this input.
fn output(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |what: String| format!("{name}: {what}");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|cause| failed(cause.to_string()))?;
    // The programs here print nothing before they have read everything. A closed pipe shows in the status.
    drop(child.stdin.take().map(|mut pipe| pipe.write_all(input)));
    let output = child.wait_with_output().map_err(|cause| failed(cause.to_string()))?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(output.status.to_string())) }
}

/// A number with an underscore between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let two = "a/x-1.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl";
        assert_eq!(machine(two), Ok(("x86_64", "manylinux_2_17_x86_64")));
        assert!(machine("x-1.0-py3-none-any.whl").is_err());
        assert_eq!([7, 1234, 704_288, 1_000_000].map(grouped), ["7", "1_234", "704_288", "1_000_000"]);
    }
}
