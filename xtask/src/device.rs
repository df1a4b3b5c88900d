//! Builds a folder with everything that an accelerator machine without a network needs to test and benchmark this project.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::jupyter::finish;
use crate::project::{Result, root};

/// The folder, relative to the project's root.
const FOLDER: &str = "target/device";
/// Size limit of the folder in megabytes.
const LARGEST: u64 = 60;
/// Packages that come with the machine's own JAX, or are large and there as well.
const THERE: [&str; 16] = [
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "ml_dtypes",
    "opt_einsum",
    "setuptools",
    "safetensors",
    "pip",
    "h5py",
    "msgpack",
    "protobuf",
    "psutil",
    "pygments",
    "tensorstore",
    "uvloop",
];

/// Builds the folder and prints how to run its contents.
pub(crate) fn build() -> Result<()> {
    let folder = root().join(FOLDER);
    fs::create_dir_all(&folder).map_err(|cause| format!("cannot make {FOLDER}: {cause}"))?;
    copy_scripts(&folder)?;
    println!("building the command and the tests");
    pack(&folder, &binaries()?)?;
    println!("computing the CPU reference values");
    finish(python(&folder).args(["run.py", "--device", "cpu", "--write", "--reference", "reference"]))?;
    wheels(&folder)?;
    let megabytes = size(&folder).div_ceil(1_000_000);
    if megabytes > LARGEST {
        return Err(format!("{FOLDER} has {megabytes} MB, but {LARGEST} MB are allowed"));
    }
    println!("\n{FOLDER}, {megabytes} MB, is ready; on the machine with the accelerator:");
    println!("  python3 {FOLDER}/run.py --device cuda --out results");
    Ok(())
}

fn copy_scripts(folder: &Path) -> Result<()> {
    copy_python("benches/device", folder)?;
    copy_python("benches/compare", &folder.join("compare"))
}

/// Copies the Python files of a folder of the project.
fn copy_python(from: &str, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|cause| format!("cannot make {}: {cause}", to.display()))?;
    let listed = fs::read_dir(root().join(from)).map_err(|cause| format!("cannot read {from}: {cause}"))?;
    let files = listed.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "py"));
    for file in files {
        let name = file.file_name().expect("a listed file has a name");
        fs::copy(&file, to.join(name)).map_err(|cause| format!("cannot copy {}: {cause}", file.display()))?;
    }
    Ok(())
}

/// The release builds of the command and the tests, as (name in the archive, file). `run.py` selects the tests to run there.
fn binaries() -> Result<Vec<(String, PathBuf)>> {
    let arguments =
        "build --release --message-format=json --package spiq --bin spiq --test all --bench published".split(' ');
    let built = Command::new("cargo").args(arguments).current_dir(root()).stderr(Stdio::inherit()).output();
    let built = built.map_err(|cause| format!("cannot start cargo: {cause}"))?;
    if !built.status.success() {
        return Err(format!("cargo build failed ({})", built.status));
    }
    let lines = String::from_utf8_lossy(&built.stdout).into_owned();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(messages.filter_map(|message| binary(&message)).collect())
}

/// The executable in one of cargo's messages.
fn binary(message: &serde_json::Value) -> Option<(String, PathBuf)> {
    let (file, target) = (message["executable"].as_str()?, &message["target"]);
    let name = target["name"].as_str()?;
    let is_test = target["kind"].as_array()?.iter().any(|kind| kind == "test");
    Some((if is_test { "tests".to_owned() } else { name.to_owned() }, PathBuf::from(file)))
}

/// Strips and packs the binaries, which compress to a third.
fn pack(folder: &Path, binaries: &[(String, PathBuf)]) -> Result<()> {
    let stripped = folder.join("stripped");
    fs::create_dir_all(&stripped).map_err(|cause| format!("cannot make {}: {cause}", stripped.display()))?;
    for (name, file) in binaries {
        finish(Command::new("strip").arg("-o").arg(stripped.join(name)).arg(file))?;
    }
    let archive = "import tarfile\nwith tarfile.open('binaries.tar.xz', 'w:xz') as t: t.add('stripped', '.')";
    finish(python(folder).args(["-c", archive]))?;
    fs::remove_dir_all(&stripped).map_err(|cause| format!("cannot remove {}: {cause}", stripped.display()))
}

/// Spyx and its dependencies, as wheels for the Python of the accelerator machine.
fn wheels(folder: &Path) -> Result<()> {
    println!("downloading the wheels of Spyx");
    let pins = root().join("tests/reference/requirements.txt");
    let text = fs::read_to_string(&pins).map_err(|cause| format!("cannot read {}: {cause}", pins.display()))?;
    let wanted = resolved(folder, &text)?;
    let mut command = python(folder);
    command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "wheels"]);
    command.args(["--python-version", PYTHON, "--implementation", "cp"]);
    for tag in TAGS {
        command.args(["--platform", tag]);
    }
    finish(command.args(wanted))
}

/// The accelerator machine's Python version, and the platforms of compatible wheels.
const PYTHON: &str = "3.12";
const TAGS: [&str; 7] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_26_x86_64",
    "manylinux_2_24_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
];

/// The packages that pip would install for `requirements`, with versions, without those already present.
fn resolved(folder: &Path, requirements: &str) -> Result<Vec<String>> {
    let mut command = python(folder);
    command.args(["-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]);
    let output = command.args(requirements.split_whitespace()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|cause| format!("cannot start pip: {cause}"))?;
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|_| "pip cannot resolve tests/reference/requirements.txt")?;
    let installs = report["install"].as_array().into_iter().flatten();
    let named = installs.filter_map(|one| {
        let (name, version) = (one["metadata"]["name"].as_str()?, one["metadata"]["version"].as_str()?);
        (!THERE.contains(&name.replace('-', "_").as_str())).then(|| format!("{name}=={version}"))
    });
    Ok(named.collect())
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(folder);
    command
}

/// Total size in bytes of all files under a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) })
        .sum()
}
