//! Runs `spiq` in a separate process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::project::{Result, root};

/// A temporary folder for runs and their caches.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Creates one, in `target`.
    pub fn new() -> Result<Scratch> {
        let at = root().join("target");
        tempfile::tempdir_in(&at).map(Scratch).map_err(|error| format!("{}: {error}", at.display()))
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// `spiq` with these arguments, this plugin, and this folder as the cache of compiled programs.
pub fn spiq(plugin: &str, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(root().join("target/release/spiq"));
    command.args(arguments).env("SPIQ_CACHE_DIR", cache).env("SPIQ_PJRT_PLUGIN", plugin);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The CPU plugin.
pub fn plugin() -> Result<String> {
    let mut command = Command::new(root().join("target/release/spiq"));
    let told = ended(command.args(["doctor", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null()), 0)?;
    let told: serde_json::Value = serde_json::from_str(&told).map_err(|error| error.to_string())?;
    let plugins = told["plugins"].as_array().into_iter().flatten();
    let files = plugins.filter(|plugin| plugin["platform"] == "cpu").filter_map(|plugin| plugin["file"].as_str());
    files.map(str::to_owned).next().ok_or_else(|| "no CPU plugin was found".to_owned())
}

/// Starts a command.
pub fn start(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| format!("{command:?}: {error}"))
}

/// Runs a command to completion, checks its exit code, and returns its output.
pub fn ended(command: &mut Command, code: i32) -> Result<String> {
    let child = start(command)?;
    let output = child.wait_with_output().map_err(|error| format!("{command:?}: {error}"))?;
    checked(&output, &[code])
}

/// The output of a command, which must have ended with one of these exit codes and without a panic.
pub fn checked(output: &Output, codes: &[i32]) -> Result<String> {
    let printed = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    let fine = output.status.code().is_some_and(|code| codes.contains(&code)) && !printed.contains("panicked at");
    if fine { Ok(printed) } else { Err(format!("{}: {}", output.status, last_lines(&printed))) }
}

fn last_lines(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}

/// Waits until a process ends or `time` has passed; returns whether it ended.
pub fn ends_within(child: &mut Child, time: Duration) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}
