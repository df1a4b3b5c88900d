//! Installs JupyterLab, nbclient and the Rust kernel, in a folder that `cargo clean` removes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::project::{Result, root};

/// The kernel, and the version that the notebooks were written for.
const KERNEL: [&str; 2] = ["evcxr_jupyter", "0.22.0"];

/// Installs what is missing, and prints how to start.
pub(crate) fn install() -> Result<()> {
    prepare(&|kernel| {
        println!("building {} {}: about ten minutes on two cores", kernel[0], kernel[1]);
        finish(Command::new("cargo").args(["install", kernel[0], "--version", kernel[1], "--locked"]))
    })?;
    println!("\nready; start it with\n  {} lab notebooks", relative(&program("jupyter")));
    Ok(())
}

/// Makes nbclient and the kernel usable; a missing kernel is an error.
pub(crate) fn require() -> Result<()> {
    prepare(&|kernel| {
        Err(format!("{} is not installed; run `cargo xtask jupyter`, which takes ten minutes", kernel[0]))
    })
}

/// The path of a program in the environment.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    environment().join(folder).join(name)
}

/// Runs a program to completion.
///
/// # Errors
/// If it cannot be started or fails.
pub(crate) fn finish(command: &mut Command) -> Result<()> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let status = command.status().map_err(|cause| format!("cannot start {name}: {cause}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
}

fn prepare(missing: &dyn Fn([&str; 2]) -> Result<()>) -> Result<()> {
    packages()?;
    if Command::new(KERNEL[0]).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        missing(KERNEL)?;
    }
    // The kernel writes its description to the path in this variable: the environment, not the home folder.
    let share = environment().join("share").join("jupyter");
    finish(Command::new(KERNEL[0]).arg("--install").env("JUPYTER_PATH", &share).stdout(Stdio::null()))?;
    set_profiles()?;
    if cfg!(unix) { keep_builds(&share.join("kernels").join("rust").join("kernel.json")) } else { Ok(()) }
}

/// The environment variable for the kernel's build folder; by default it uses a temporary one.
pub(crate) const BUILD_FOLDER: &str = "EVCXR_TMPDIR";

/// The persistent build folder, so that kernels start with earlier builds: ten seconds instead of a minute.
pub(crate) fn builds() -> PathBuf {
    root().join("target").join("evcxr")
}

/// Profiles of the crates that compute in the kernel's builds, as in the project's Cargo.toml: evcxr compiles with checks for overflow, which
/// make the CPU kernels several times slower.
const PROFILES: &str = "\
[profile.dev.package.spiq-hlo]
opt-level = 3
[profile.dev.package.spiq-kernels]
opt-level = 3
overflow-checks = false
debug-assertions = false
";

/// Writes the profiles where cargo finds them: in a folder above that of every build.
pub(crate) fn set_profiles() -> Result<()> {
    let folder = builds().join(".cargo");
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("config.toml"), PROFILES));
    written.map_err(|cause| format!("cannot write to {}: {cause}", relative(&folder)))
}

/// Makes the kernel build each notebook in its own persistent folder. Jupyter passes the notebook's name.
fn keep_builds(description: &Path) -> Result<()> {
    let script = format!(
        r#"if [ -z "${BUILD_FOLDER}" ] && [ -n "$JPY_SESSION_NAME" ]; then
  {BUILD_FOLDER}="$2/$(basename "$JPY_SESSION_NAME" .ipynb)"; export {BUILD_FOLDER}; mkdir -p "${BUILD_FOLDER}"
fi
exec {} --control_file "$1""#,
        KERNEL[0]
    );
    let argv = serde_json::json!(["/bin/sh", "-c", script, KERNEL[0], "{connection_file}", builds()]);
    let kernel = serde_json::json!({
        "argv": argv, "display_name": "Rust", "language": "rust", "interrupt_mode": "message",
    });
    let written = std::fs::write(description, kernel.to_string());
    written.map_err(|cause| format!("cannot write {}: {cause}", relative(description)))
}

/// Installs the packages of notebooks/requirements.txt into the environment, unless they are up to date.
fn packages() -> Result<()> {
    let wanted = root().join("notebooks/requirements.txt");
    let text =
        std::fs::read_to_string(&wanted).map_err(|cause| format!("cannot read {}: {cause}", relative(&wanted)))?;
    let done = environment().join("installed.txt");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    println!("installing JupyterLab and nbclient into {}", relative(&environment()));
    let python = if cfg!(windows) { "python" } else { "python3" };
    finish(Command::new(python).args([OsStr::new("-m"), OsStr::new("venv"), environment().as_os_str()]))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    finish(Command::new(program("python")).args(pip).arg(&wanted))?;
    std::fs::write(&done, text).map_err(|cause| format!("cannot write {}: {cause}", relative(&done)))
}

fn environment() -> PathBuf {
    root().join("target").join("jupyter")
}

/// A path relative to the project's root, for messages.
fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
