//! Runs the notebooks from first to last cell.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::jupyter;
use crate::notebook::Notebook;
use crate::project::{Result, root};

/// Time limit in seconds of a cell and of the kernel's start; the first cell builds the library.
const LONGEST_CELL: usize = 1800;
/// Number of log lines to show if a notebook cannot be run at all.
const LOG_LINES: usize = 30;

/// Runs all notebooks, or those with these names (`01` or `01_qat_tutorial`). With `update`, writes their outputs into the files;
/// otherwise the files stay unchanged, and differences are reported.
///
/// # Errors
/// The number of notebooks that failed; prints every cell that shows an error.
pub(crate) fn run(names: &[&str], update: bool) -> Result<()> {
    let chosen = chosen(names)?;
    jupyter::require()?;
    jupyter::set_profiles()?;
    let mut failed = 0;
    for path in &chosen {
        let started = Instant::now();
        let outcome = run_one(path, update);
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match outcome {
            Ok(()) => println!("{name}: ok after {} s", started.elapsed().as_secs()),
            Err(message) => {
                failed += 1;
                println!("{name}: failed after {} s\n{message}", started.elapsed().as_secs());
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} notebooks failed", chosen.len())) }
}

fn chosen(names: &[&str]) -> Result<Vec<PathBuf>> {
    let folder = root().join("notebooks");
    let entries = std::fs::read_dir(&folder).map_err(|cause| format!("cannot read notebooks/: {cause}"))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ipynb"));
    paths.sort();
    let named =
        |path: &PathBuf, name: &str| path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with(name));
    if let Some(name) = names.iter().find(|name| !paths.iter().any(|path| named(path, name))) {
        return Err(format!("there is no notebook {name} in notebooks/"));
    }
    paths.retain(|path| names.is_empty() || names.iter().any(|name| named(path, name)));
    Ok(paths)
}

fn run_one(path: &Path, update: bool) -> Result<()> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|cause| format!("cannot read {}: {cause}", path.display()))?;
        Notebook::parse(&text)
    };
    let executed = read(&execute(path)?)?;
    let complaints = executed.complaints(&folders());
    if !complaints.is_empty() {
        return Err(complaints.join("\n"));
    }
    if update {
        return std::fs::write(path, executed.to_text()).map_err(|cause| format!("cannot write it: {cause}"));
    }
    let committed = read(path)?;
    if committed.lacks_outputs_of(&executed) {
        return Err("it is committed without the outputs of its cells; run `cargo xtask notebooks --update`".to_owned());
    }
    for difference in executed.differences(&committed) {
        println!("  note: {difference}");
    }
    Ok(())
}

/// Executes a notebook and returns the path of the executed copy.
fn execute(path: &Path) -> Result<PathBuf> {
    let folder = root().join("target").join("notebooks");
    let executed = folder.join(path.file_name().unwrap_or_default());
    let log = executed.with_extension("log");
    let created = std::fs::create_dir_all(&folder).and_then(|()| std::fs::File::create(&log));
    // The kernel logs its builds there.
    // Notebooks run one at a time and share a build folder, so all but the first find the library already built.
    let builds = jupyter::builds().join("all");
    let created = created.and_then(|log| std::fs::create_dir_all(&builds).map(|()| log));
    let stderr = created.map_err(|cause| format!("cannot write {}: {cause}", log.display()))?;
    let mut python = Command::new(jupyter::program("python"));
    python.args(["-c", include_str!("execute.py")]).arg(path).arg(&executed).arg(LONGEST_CELL.to_string());
    python.env(jupyter::BUILD_FOLDER, &builds);
    jupyter::finish(python.stdout(Stdio::null()).stderr(stderr)).map_err(|message| {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{message}\n{}", lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
    })?;
    Ok(executed)
}

/// Folders of this machine that must not occur in a committed file.
fn folders() -> Vec<String> {
    let home = std::env::var("HOME").or_else(|_| std::env::var("USERPROFILE")).ok().filter(|home| home.len() > 1);
    let temporary = std::env::temp_dir().display().to_string();
    [root().display().to_string(), format!("{}/", temporary.trim_end_matches('/'))].into_iter().chain(home).collect()
}
