//! One training run: runs it, and reads its results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::project::{Result, root};

/// The output of `spiq evaluate --json`.
pub type Figures = BTreeMap<String, Value>;

/// The results of a run.
pub struct Trained {
    /// With the parameters of the last epoch.
    pub last: Figures,
    /// With those of the best epoch by validation.
    pub best: Figures,
}

/// A training run, and the folder of its results.
pub struct Run {
    flags: Vec<String>,
    folder: PathBuf,
}

/// The name of a run's folder, made from its flags, so that tables share common runs.
fn folder_of(flags: &[String]) -> String {
    let kept = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    flags.join(" ").trim_start_matches('-').chars().map(kept).collect()
}

/// The parameters of a run to evaluate, by their name in `spiq evaluate`.
const LOOKED_AT: [&str; 2] = ["last", "best"];

impl Run {
    /// The run with these `spiq train` flags.
    pub fn of(flags: Vec<String>) -> Run {
        let folder = root().join("target/accuracy").join(folder_of(&flags));
        Run { flags, folder }
    }

    /// Trains on this core, with a tenth of the training samples held out to choose the best epoch, and evaluates the last epoch and
    /// the best.
    pub fn train(&self, core: usize) -> Result<()> {
        if LOOKED_AT.iter().all(|which| self.file(which).exists()) {
            return Ok(());
        }
        println!("spiq train {} --out {}", self.flags.join(" "), self.folder.display());
        let out = self.folder.display().to_string();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        spiq(core, &[&["train", "--overwrite", "--validation", "0.1", "--out", &out], &flags[..]].concat())?;
        for which in LOOKED_AT {
            let told = spiq(core, &["evaluate", &out, "--params", which, "--json"])?;
            let file = self.file(which);
            std::fs::write(&file, told).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(())
    }

    fn file(&self, which: &str) -> PathBuf {
        self.folder.join(format!("evaluated-{which}.json"))
    }

    /// Its results, if it has finished.
    pub fn result(&self) -> Option<Trained> {
        let [last, best] = LOOKED_AT.map(|which| read(&self.file(which)));
        Some(Trained { last: last?, best: best? })
    }
}

fn read(path: &Path) -> Option<Figures> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Runs the command pinned to a core, and returns its output.
fn spiq(core: usize, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(root().join("target/release/spiq"));
    let output = command.args(arguments).current_dir(root()).output();
    let output = output.map_err(|error| format!("spiq: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("spiq {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))),
    }
}
